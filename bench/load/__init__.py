"""The load: who asks for what, when, and what became of it.

`arrivals` computes when jobs come, `clients` is what one user does to get a result, `session` carries a load
out, `recorder` writes down what happened. `users` hangs these into Locust, for `bench/scenarios.py`; `driver`
starts Locust for one trial from a process that has nothing to do with gevent.
"""

"""The load: who asks for what, when, and what became of it.

`arrivals` computes when jobs come, `clients` is what one user does to get a result, `crowd` has the users of
a process, `session` leads them through a load, `recorder` writes down what happened. Among several processes
a `fleet` on Locust's master stands for the crowds of its workers, each led by a `crew`; they talk over a
`wire`. `users` hangs these into Locust, for `bench/scenarios.py`; `driver` starts Locust for one trial from a
process that has nothing to do with gevent.
"""

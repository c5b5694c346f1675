"""A queue in front of a slow function: the web takes jobs, RabbitMQ keeps them, workers do them.

`python -m queued web` and `python -m queued worker`. `queued.as_published` is the same idea as the blog post
published it, faults included.
"""

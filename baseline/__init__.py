"""The blocking server: the request waits while the task runs, as the blog post's first version does."""

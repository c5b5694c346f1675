"""The queue as the blog post published it, in behaviour, faults included. Nothing here is to be repaired.

What differs from `queued`, and is what the comparison shows: a connection for each publish, messages that are
neither persistent nor confirmed, a consumer that acknowledges on delivery, takes everything that waits and
works it off without touching its connection, results that pass through the web as JSON numbers, an update
route that anybody may call, and records that never expire.

Added, and not in the post: any task instead of the factorial, the journal and the X-Request-ID in it, a check
of the input, and a clean end on SIGTERM.
"""

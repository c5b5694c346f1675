"""The least queue that works, with measures against loss to be switched on one after another.

A system under test like any other, started as commands: `python -m bench.chaos.bare web|worker --with
ack,persistent,…`. It answers the routes that `bench.chaos.face.JobsFace` asks, knows no keys, no retries, no
lease, and is only there to show what each measure is good for (`bench chaos --ladder`).
"""

"""Counters of containers: what the engine tells, and sums that never fall."""

from bench.stack.containers.usage import ContainerUsage, summed, told_by_engine


def test_the_engines_figures_by_our_names():
    """Seconds and bytes, without the file cache that nobody needs (version 1 and 2 name it differently)."""
    stats = {
        "cpu_stats": {
            "cpu_usage": {"total_usage": 2_500_000_000},
            "throttling_data": {"periods": 10, "throttled_periods": 4, "throttled_time": 300_000_000},
        },
        "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}},
        "pids_stats": {"current": 3},
    }
    told = told_by_engine(stats)
    assert told["cpu"] == 2.5
    assert (told["periods"], told["throttled_periods"], told["throttled"]) == (10, 4, 0.3)
    assert (told["memory"], told["processes"]) == (700, 3)
    stats["memory_stats"]["stats"] = {"inactive_file": 100}
    assert told_by_engine(stats)["memory"] == 900


class Played:
    """In the place of a control group: what each look sees."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def usage(self):
        return self.looks.pop(0)

    def pids(self):
        return {1}


def test_cpu_of_a_container_that_was_started_again_stays_counted(monkeypatch):
    """And while it is down, what is known is kept, but no memory."""
    monkeypatch.setattr("bench.stack.containers.usage.group_of", lambda *_: None)
    usage = ContainerUsage(None, "abc", 0)
    usage._group = Played({"cpu": 5.0, "memory": 9.0}, {}, {"cpu": 1.0, "memory": 4.0}, {"cpu": 2.0})
    assert usage()["cpu"] == 5.0
    down = usage()
    assert down["cpu"] == 5.0
    assert "memory" not in down
    assert usage()["cpu"] == 6.0
    assert usage()["cpu"] == 7.0


def test_a_role_is_the_sum_of_its_containers():
    """Two workers, of which one has no memory to tell of just now."""
    told = summed({"worker": [{"cpu": 1.0, "memory": 5.0}, {"cpu": 2.0}]})
    assert told == {"worker": {"cpu": 3.0, "memory": 5.0}}

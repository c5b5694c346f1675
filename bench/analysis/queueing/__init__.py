"""What queueing theory says of a service, from its arrival rate and its service times. Pure: numbers in,
numbers out.

Rates are per second, times in seconds. `load` is the offered load a = λ·S in Erlang: the servers that
would be busy on average, were there enough of them. All formulas have Poisson arrivals and no limit on who
may wait; what no formula gives is simulated (`Model`, `serve`).
"""

from bench.analysis.queueing.deterministic import MDc
from bench.analysis.queueing.erlang import erlang_b, erlang_c
from bench.analysis.queueing.fifo import MGc, MMc
from bench.analysis.queueing.limited_sharing import Served, Service, serve
from bench.analysis.queueing.model import Model, Overhead
from bench.analysis.queueing.scaling import Scaling, fit_scaling
from bench.analysis.queueing.sharing import ProcessorSharing

__all__ = [
    "MDc",
    "MGc",
    "MMc",
    "Model",
    "Overhead",
    "ProcessorSharing",
    "Scaling",
    "Served",
    "Service",
    "erlang_b",
    "erlang_c",
    "fit_scaling",
    "serve",
]

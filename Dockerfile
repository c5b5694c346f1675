# Every image of the project: baseline, web and worker are the systems under test; gateway and broker stand
# around them; bench measures. docker-compose.yml starts them, docs/containers.md tells how to use them.
ARG PYTHON_IMAGE=python:3.13-slim
ARG NGINX_IMAGE=nginx:1.28
ARG RABBITMQ_IMAGE=rabbitmq:4-management

# --- what is installed, checked against hashes; wheels only, so nothing is ever compiled ---

FROM ${PYTHON_IMAGE} AS serve-packages
RUN python -m venv --without-pip /opt/venv
COPY requirements/serve.txt /
# Tests and sources of what is compiled already are half of gevent.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: -r serve.txt && \
    rm -rf /opt/venv/lib/python3*/site-packages/gevent/tests && \
    find /opt/venv \( -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete

# --- the code, compiled once: a read-only root file system keeps no bytecode ---

FROM ${PYTHON_IMAGE} AS serve-code
WORKDIR /app
COPY workloads workloads
COPY baseline baseline
COPY queued queued
RUN python -m compileall -q --invalidation-mode unchecked-hash .

# --- Python without what installs packages, its library compiled, and an ordinary user ---

# The official image comes without bytecode, and a read-only root file system keeps none: every process would
# compile the library anew.
FROM ${PYTHON_IMAGE} AS python
RUN pip uninstall --yes --root-user-action=ignore pip && \
    rm -rf /usr/local/lib/python3*/ensurepip && \
    python -m compileall -q --invalidation-mode unchecked-hash -x /test/ /usr/local/lib/python3* && \
    groupadd --gid 10001 queuebench && \
    useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin queuebench && \
    install -d -o queuebench -g queuebench /var/lib/queuebench
COPY containers/answers /usr/local/bin/
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
STOPSIGNAL SIGTERM

# --- the systems under test: the same layers, another command ---

FROM python AS serve
COPY --from=serve-packages /opt/venv /opt/venv
COPY --from=serve-code /app /app
USER 10001:10001

FROM serve AS baseline
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["answers", "8000", "/healthz"]
ENTRYPOINT ["python", "-m", "baseline", "--host", "0.0.0.0", "--port", "8000"]

FROM serve AS web
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["answers", "8000", "/readyz"]
ENTRYPOINT ["python", "-m", "queued", "web", "--host", "0.0.0.0", "--port", "8000"]

# A worker goes to the broker when its task is loaded. A connection to 5671 or 5672 that stands (01), in the
# kernel's own list, is therefore what a worker has that takes jobs; it serves nothing that could be asked.
FROM serve AS worker
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["grep", "-qE", ":162[78] 01 ", "/proc/net/tcp", "/proc/net/tcp6"]
ENTRYPOINT ["python", "-m", "queued", "worker"]

# --- around them ---

FROM ${NGINX_IMAGE} AS gateway
COPY containers/answers /usr/local/bin/
COPY containers/gateway/18-words.envsh /docker-entrypoint.d/
COPY containers/gateway/nginx.conf.template /etc/nginx/templates/
ENV NGINX_ENTRYPOINT_LOCAL_RESOLVERS=1 NGINX_ENTRYPOINT_QUIET_LOGS=1 NGINX_ENVSUBST_OUTPUT_DIR=/tmp \
    NGINX_ENVSUBST_FILTER=^(UPSTREAM|CONNECTIONS|(GATEWAY|CONNECT)_TIMEOUT_MS|NGINX_LOCAL_RESOLVERS)$ \
    UPSTREAM=web:8000 CONNECTIONS=0 GATEWAY_TIMEOUT_MS=60000
USER nginx
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["answers", "8081", "/"]
# nginx's word for: answer what is in hand, then end. SIGTERM would cut it off.
STOPSIGNAL SIGQUIT
CMD ["nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off;"]

# Erlang's flags are those of bench/stack/rabbitmq.py. The node's name is the same in every container, so that
# the next one finds its data again; and other nodes and tools reach it from inside only.
FROM ${RABBITMQ_IMAGE} AS broker
COPY containers/broker/greets /usr/local/bin/
COPY containers/broker/rabbitmq.conf /etc/rabbitmq/
ENV BROKER_MEMORY=512m RABBITMQ_NODENAME=rabbit@localhost ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP_SECONDS=0 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none +SDio 1 +P 65536 +Q 4096 +S 1:1 +A 4 -kernel inet_dist_use_interface {127,0,0,1}"
USER rabbitmq
HEALTHCHECK --interval=5s --timeout=5s --start-period=90s CMD ["greets"]
STOPSIGNAL SIGTERM

# --- the harness, with the engine's command line: it builds and starts the other images itself ---

FROM ${PYTHON_IMAGE} AS bench-packages
RUN python -m venv --without-pip /opt/venv
COPY requirements/run.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: -r run.txt && \
    find /opt/venv -name tests -type d -prune -exec rm -rf {} + && \
    find /opt/venv \( -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete
# The project itself by what describes it, its packages empty: this layer stays when the code changes.
COPY pyproject.toml README.md LICENSE /app/
RUN for name in workloads baseline queued bench; do mkdir /app/$name && touch /app/$name/__init__.py; done && \
    pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --editable /app

FROM ${PYTHON_IMAGE} AS bench-code
COPY . /app
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM python AS bench
# Debian's own names. Where a distribution has none of them, name what it has.
ARG DOCKER_PACKAGES="docker-cli docker-compose"
RUN apt-get update -q && \
    apt-get install --yes --no-install-recommends ${DOCKER_PACKAGES} && \
    apt-get clean && rm -rf /var/lib/apt/lists/*
COPY --from=bench-packages /opt/venv /opt/venv
COPY --from=bench-code /app /app
ENTRYPOINT ["containers/bench/run"]
CMD ["run", "quick", "--runtime", "docker"]

# docker build --target service .                                   hub and controller; no framework, no Ray, no shell
# docker build --target runner --build-arg ENGINES="sleeper" .      Ray and engines: sleeper, torch, keras, jax, in any combination
FROM debian:bookworm-slim AS python
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*

# uv, and stepmark's wheel
FROM python AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv binutils && rm -rf /var/lib/apt/lists/*
ENV UV_NO_CACHE=1 UV_SYSTEM_CERTS=true UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy PATH=/uv/bin:$PATH
WORKDIR /build
COPY requirements requirements
RUN python3 -m venv /uv && pip install --quiet --no-cache-dir --require-hashes -r requirements/bootstrap.txt \
 && awk '/^[^ ]/ {wanted = /^setuptools==/} wanted' requirements/run.txt > builder.txt \
 && uv pip install --python /uv/bin/python --require-hashes -r builder.txt
COPY pyproject.toml README.md LICENSE ./
COPY services services
RUN uv build --wheel --no-build-isolation --python /uv/bin/python --out-dir /wheel

FROM build AS service-files
RUN uv venv --python /usr/bin/python3 /opt/stepmark \
 && uv pip install --python /opt/stepmark/bin/python --require-hashes -r requirements/service.txt \
 && uv pip install --python /opt/stepmark/bin/python --no-deps /wheel/*.whl
# What nothing here runs: tests, headers, type stubs, debugging symbols (not of the *.libs, which strip breaks), the asyncio half of the
# Kubernetes client and its HTTP library. What is large and needed, in MB: SciPy 87, DuckDB 66, NumPy 48, the Kubernetes client 23.
RUN cd /opt/stepmark/lib/python3*/site-packages \
 && uv pip uninstall --python /opt/stepmark/bin/python aiohttp aiohttp-retry aiosignal aiohappyeyeballs frozenlist multidict propcache yarl \
 && rm -rf kubernetes/aio \
 && find . -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.a' \) -delete \
 && find . -type f -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
# Python itself and the libraries that it and the packages load, and nothing else of Debian.
RUN python=/usr/lib/python3.11 && cd $python && rm -rf test ensurepip idlelib lib2to3 tkinter pydoc_data distutils config-3.11-* \
 && find / -xdev \( -path '/opt/stepmark/*.so*' -o -path "$python/*.so" -o -path /usr/bin/python3.11 \) -type f -exec ldd {} + 2>/dev/null \
    | awk '$2 == "=>" && $3 ~ /^\/(usr\/)?lib/ {print $3} $1 ~ /^\/lib.*\/ld-linux/ {print $1}' | sort -u > /libraries \
 && mkdir -p /image/tmp /image/etc /image/usr/bin && chmod 1777 /image/tmp && cd / \
 && xargs cp -L --parents -t /image < /libraries \
 && cp -a --parents $python /etc/ssl/certs/ca-certificates.crt /usr/bin/python3.11 /opt/stepmark /image \
 && ln -s python3.11 /image/usr/bin/python3 \
 && echo 'stepmark:x:65532:65532::/tmp:/nonexistent' > /image/etc/passwd && echo 'stepmark:x:65532:' > /image/etc/group
# Compiled beforehand, since the root file system is read-only; what is not ours without its sources, which would add 75 MB.
RUN cd /image && find . -name __pycache__ -prune -exec rm -rf {} + \
 && find . -name '*.py' -not -path '*/site-packages/stepmark/*' > sources \
 && python3 -m compileall -q -b -i sources && xargs rm < sources && rm sources \
 && python3 -m compileall -q --invalidation-mode unchecked-hash opt/stepmark/lib/python3*/site-packages/stepmark

FROM scratch AS service
COPY --from=service-files /image /
ENV PATH=/opt/stepmark/bin:/usr/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["stepmark"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stepmark service" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="The hub and the controller of stepmark" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

FROM build AS runner-files
ARG ENGINES="torch keras jax"
# The services' packages (less the controller's client and DuckDB), Ray, and the engines asked for: as run.txt pins them, by hash.
RUN awk -F== 'NR == FNR {names[$1]; next} /^[^ ]/ {wanted = $1 in names && $1 !~ /^(kubernetes|duckdb)$/} wanted' \
      requirements/service.txt requirements/run.txt > base.txt \
 && extras="--extra ray" \
 && for engine in $ENGINES; do case $engine in \
      sleeper) ;; \
      torch | keras | jax) extras="$extras --extra $engine --extra digits" ;; \
      *) echo "ENGINES: expected some of sleeper, torch, keras, jax; found $engine" >&2; exit 1 ;; \
    esac; done \
 && uv venv --python /usr/bin/python3 /opt/stepmark \
 && uv pip install --python /opt/stepmark/bin/python --compile-bytecode --require-hashes \
      -r base.txt -r pyproject.toml $extras -c requirements/run.txt \
 && uv pip install --python /opt/stepmark/bin/python --compile-bytecode --no-deps /wheel/*.whl

FROM python AS runner
ARG ENGINES="torch keras jax"
# KubeRay's probes call wget; torch.compile calls a C++ compiler.
RUN apt-get update && apt-get install -y --no-install-recommends wget \
      $(case " $ENGINES " in *" torch "*) echo g++ python3-dev ;; esac) \
 && rm -rf /var/lib/apt/lists/* \
 && echo 'stepmark:x:65532:65532::/tmp:/bin/bash' >> /etc/passwd && echo 'stepmark:x:65532:' >> /etc/group \
# KubeRay starts Ray in a login shell, which sets PATH anew
 && echo 'PATH=/opt/stepmark/bin:$PATH' > /etc/profile.d/stepmark.sh
COPY --from=runner-files /opt/stepmark /opt/stepmark
ENV PATH=/opt/stepmark/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["stepmark"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stepmark runner" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Ray and the engines of stepmark: $ENGINES" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

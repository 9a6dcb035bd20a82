# docker build --target service .                                   hub and controller; no framework, no Ray, no shell
# docker build --target runner --build-arg ENGINES="sleeper" .      Ray and engines: sleeper, torch, keras, jax, in any combination
#   --build-arg ACCELERATOR=cuda                                    keras and jax with their CUDA libraries; torch has its own always
#   --build-arg SOURCE=https://... --build-arg CREATED=2026-11-30T00:00:00Z  labels of both: where the code is, when it was made; VERSION, REVISION
#   --build-arg BASE=debian:bookworm-slim@sha256:...                the very same base image; --build-arg APT_SOURCES="deb ..." packages
#                                                                   of one day, from an archive of snapshots (SECURITY.md)
ARG BASE=debian:bookworm-slim
FROM $BASE AS python
ARG APT_SOURCES=
RUN if [ -n "$APT_SOURCES" ]; then rm -rf /etc/apt/sources.list.d/* && printf '%s\n' "$APT_SOURCES" > /etc/apt/sources.list; fi
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*

FROM python AS uv
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv binutils && rm -rf /var/lib/apt/lists/*
ENV UV_NO_CACHE=1 UV_SYSTEM_CERTS=true UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy PATH=/uv/bin:$PATH
WORKDIR /build
COPY requirements requirements
RUN python3 -m venv /uv && pip install --quiet --no-cache-dir --require-hashes -r requirements/bootstrap.txt \
 && awk '/^[^ ]/ {wanted = /^setuptools==/} wanted' requirements/run.txt > builder.txt \
 && uv pip install --python /uv/bin/python --require-hashes -r builder.txt

# What stepmark and its extras need, alone: whatever else changes in that file, the frameworks are not installed anew.
FROM uv AS needs
COPY pyproject.toml /
RUN python3 -c 'import json, tomllib; project = tomllib.load(open("/pyproject.toml", "rb"))["project"]; \
      extras = [f"{name} = {json.dumps(needs)}" for name, needs in project["optional-dependencies"].items()]; \
      own = ["name = \"stepmark\"", "version = \"0\"", "dependencies = " + json.dumps(project["dependencies"])]; \
      print("[project]", *own, "[project.optional-dependencies]", *extras, sep="\n")' > requirements/pyproject.toml

# stepmark itself, for all interpreters of an image: in a folder of its own, so that a new version is a small new layer.
FROM uv AS stepmark
COPY pyproject.toml README.md LICENSE ./
COPY services services
RUN uv build --wheel --no-build-isolation --python /uv/bin/python --out-dir /wheel \
 && uv venv --python /usr/bin/python3 /opt/stepmark \
 && uv pip install --python /opt/stepmark/bin/python --target /opt/stepmark-code --no-deps /wheel/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/stepmark-code

FROM uv AS service-files
COPY scripts/sbom.py /
RUN uv venv --python /usr/bin/python3 /opt/stepmark \
 && uv pip install --python /opt/stepmark/bin/python --require-hashes -r requirements/service.txt \
 && echo /opt/stepmark-code > $(echo /opt/stepmark/lib/python3*/site-packages)/stepmark.pth
# What nothing here runs: tests, headers, type stubs, debugging symbols (not of the *.libs, which strip breaks), the asyncio half of the
# Kubernetes client and its HTTP library, SciPy's parts that neither stepmark nor the rest of SciPy imports.
RUN cd /opt/stepmark/lib/python3*/site-packages \
 && uv pip uninstall --python /opt/stepmark/bin/python aiohttp aiohttp-retry aiosignal aiohappyeyeballs frozenlist multidict propcache yarl \
 && rm -rf kubernetes/aio numpy/distutils numpy/_core/_simd.*.so sqlalchemy/testing alembic/testing \
      scipy/cluster scipy/datasets scipy/differentiate scipy/fftpack scipy/io scipy/misc scipy/odr scipy/signal scipy/stats \
 && find . -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.a' \) -delete \
 && find . -type f -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
# Python itself and the libraries that it and the packages load, and nothing else of Debian. Without its modules for terminals, Berkeley
# databases and NIS, which bring libraries that nothing else loads.
RUN python=/usr/lib/python3.11 && cd $python && rm -rf test ensurepip idlelib lib2to3 tkinter pydoc_data distutils config-3.11-* \
      curses lib-dynload/_curses* lib-dynload/readline.* lib-dynload/_dbm.* lib-dynload/nis.* lib-dynload/_test* \
 && find / -xdev \( -path '/opt/stepmark/*.so*' -o -path "$python/*.so" -o -path /usr/bin/python3.11 \) -type f -exec ldd {} + 2>/dev/null \
    | awk '$2 == "=>" && $3 ~ /^\/(usr\/)?lib/ {print $3} $1 ~ /^\/lib.*\/ld-linux/ {print $1}' | sort -u > /libraries \
 && sed 's|.*/|*/|' /libraries | xargs dpkg -S | sed 's/:.*//' | sort -u | xargs dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' \
      python3.11-minimal libpython3.11-minimal libpython3.11-stdlib ca-certificates > /debian \
 && uv pip freeze -q --python /opt/stepmark/bin/python | python3 /sbom.py stepmark-service /debian > /opt/stepmark/sbom.cdx.json \
 && mkdir -p /image/tmp /image/etc /image/usr/bin && chmod 1777 /image/tmp && cd / \
 && xargs cp -L --parents -t /image < /libraries \
 && cp -a --parents $python /etc/ssl/certs/ca-certificates.crt /usr/bin/python3.11 /opt/stepmark /image \
 && ln -s python3.11 /image/usr/bin/python3 \
 && echo 'stepmark:x:65532:65532::/tmp:/nonexistent' > /image/etc/passwd && echo 'stepmark:x:65532:' > /image/etc/group
# Compiled beforehand, since the root file system is read-only, and without the sources, which would add 75 MB. Without docstrings where
# they are 11 MB: in SciPy, whose makers test that too, and in the generated parts of the Kubernetes client, which have no `assert` to lose.
RUN cd /image && find . -name __pycache__ -prune -exec rm -rf {} + \
 && find . -name '*.py' > sources && grep -E 'site-packages/(scipy|kubernetes/client/(api|models))/' sources > documented \
 && ! grep /kubernetes/ documented | xargs grep -lE '^ *assert ' \
 && python3 -m compileall -q -b -s . -p / -o 2 -i documented && python3 -m compileall -q -b -s . -p / -i sources \
 && xargs rm < sources && rm sources documented && hardlink -q -t /image/opt/stepmark

FROM scratch AS service
COPY --from=service-files /image /
COPY --from=stepmark /opt/stepmark-code /opt/stepmark-code
ENV PATH=/opt/stepmark-code/bin:/opt/stepmark/bin:/usr/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["stepmark"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=
ARG CREATED=
ARG BASE
LABEL org.opencontainers.image.base.name="$BASE"
LABEL org.opencontainers.image.title="stepmark service" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="The hub and the controller of stepmark" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" org.opencontainers.image.created="$CREATED"

FROM python AS runner
ARG ENGINES="torch keras jax"
ARG ACCELERATOR=none
RUN for engine in $ENGINES; do case $engine in sleeper | torch | keras | jax) ;; \
      *) echo "ENGINES: expected some of sleeper, torch, keras, jax; found $engine" >&2; exit 1 ;; esac; done \
 && case $ACCELERATOR in none | cuda) ;; *) echo "ACCELERATOR: expected none or cuda; found $ACCELERATOR" >&2; exit 1 ;; esac
# KubeRay's probes call wget; torch.compile calls a C++ compiler.
RUN apt-get update && apt-get install -y --no-install-recommends wget \
      $(case " $ENGINES " in *" torch "*) echo g++ python3-dev ;; esac) \
 && rm -rf /var/lib/apt/lists/* \
 && echo 'stepmark:x:65532:65532::/tmp:/bin/bash' >> /etc/passwd && echo 'stepmark:x:65532:' >> /etc/group \
# KubeRay starts Ray in a login shell, which sets PATH anew
 && echo 'PATH=/opt/stepmark-code/bin:/opt/stepmark/bin:$PATH' > /etc/profile.d/stepmark.sh
# One interpreter for Ray and stepmark, and one for each framework, whose CUDA libraries collide in one (services/stepmark/interpreters.py).
# All as the requirements pin them, by hash. What they have in common is on the disk once: hard links to uv's cache of this step.
RUN --mount=type=bind,from=uv,source=/uv/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,source=scripts/sbom.py,target=/sbom.py \
    --mount=type=bind,from=needs,source=/build/requirements,target=/requirements \
    export UV_CACHE_DIR=/tmp/uv UV_LINK_MODE=hardlink UV_SYSTEM_CERTS=true UV_PYTHON_DOWNLOADS=never && cd /requirements \
 && packages() { folder=$1 && shift && uv venv --python /usr/bin/python3 $folder \
      && uv pip install --python $folder/bin/python --compile-bytecode --require-hashes -r pyproject.toml "$@" -c run.txt \
      && case ${folder##*/} in keras) uv pip install --python $folder/bin/python --compile-bytecode --require-hashes --no-deps -r tf-keras.txt \
           && ln -s keras ${folder%/*}/tf-keras ;; esac \
      && echo /opt/stepmark-code > $(echo $folder/lib/python3*/site-packages)/stepmark.pth \
      && uv pip freeze -q --python $folder/bin/python | python3 /sbom.py stepmark-${folder##*/} /tmp/debian > $folder/sbom.cdx.json; } \
 && dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > /tmp/debian \
# the services' packages, less the controller's client and what writes the hub's Parquet
 && awk -F== 'NR == FNR {names[$1]; next} /^[^ ]/ {wanted = $1 in names && $1 !~ /^(kubernetes|arro3)/} wanted' \
      service.txt run.txt > /tmp/base.txt \
 && packages /opt/stepmark -r /tmp/base.txt --extra ray \
 && for engine in $ENGINES; do case $engine-$ACCELERATOR in \
      sleeper-*) ;; \
      keras-cuda | jax-cuda) packages /opt/stepmark-engines/$engine -r $engine-cuda.txt --extra digits ;; \
      *) packages /opt/stepmark-engines/$engine --extra $engine --extra digits ;; \
    esac || exit 1; done \
 && rm -rf /tmp/uv /tmp/base.txt /tmp/debian
COPY --from=stepmark /opt/stepmark-code /opt/stepmark-code
ENV PATH=/opt/stepmark-code/bin:/opt/stepmark/bin:$PATH STEPMARK_ENGINE_PYTHONS=/opt/stepmark-engines \
    HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
# NVIDIA's container toolkit mounts CUDA's driver and NVML for these capabilities where GPUs are handed out; GKE mounts the driver there.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility LD_LIBRARY_PATH=/usr/local/nvidia/lib64
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["stepmark"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=
ARG CREATED=
ARG BASE
LABEL org.opencontainers.image.base.name="$BASE"
LABEL org.opencontainers.image.title="stepmark runner" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Ray and the engines of stepmark: $ENGINES" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" org.opencontainers.image.created="$CREATED"

# Two images, with no model in either: those lie on the volume at /data. DEPLOYMENT.md says how to run them.
#   docker build --target cpu -t banter:cpu .     the embedded default, for any machine
#   docker build --target gpu -t banter:gpu .     the same, and CUDA, Whisper large-v3-turbo, Chatterbox
#   docker build --target cpu-cluster, --target gpu-cluster     each of them with Ray
# Packages come before sources: a change of the code installs nothing.

ARG DEBIAN=bookworm-slim

# What everything stands on. Debian's packages are not pinned one by one: in a stable release they change
# for security alone, and the version before is then no longer to be had.
FROM debian:${DEBIAN} AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgomp1 libstdc++6 python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin banter \
    && install -d -o banter -g banter /data

# Where packages are installed; nothing of it but /opt/banter leaves.
FROM base AS workshop
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils gcc libc6-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/banter \
    && /opt/banter/bin/pip uninstall --yes setuptools \
    && echo /opt/app > /opt/banter/lib/python3.11/site-packages/banter.pth
ENV PATH=/opt/banter/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_INPUT=1

# The project's own wheel, unpacked, and what starts it: the one layer that a change of the code makes anew.
FROM workshop AS source
COPY requirements/build.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip pip install --require-hashes -r /requirements/build.txt
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY static static
COPY bootstrap bootstrap
COPY realtime realtime
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index --target /layer/opt/app .
COPY docker/healthcheck.py /layer/opt/docker/
COPY docker/start.sh /layer/usr/local/bin/banter-start

FROM workshop AS cpu-packages
COPY requirements/cpu.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --no-deps --require-hashes -r /requirements/cpu.txt
COPY docker/prune.py docker/imports.py /docker/
RUN python /docker/prune.py /opt/banter/lib/python3.11/site-packages \
    && python /docker/imports.py

FROM workshop AS gpu-packages
COPY requirements/gpu.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --no-deps --require-hashes -r /requirements/gpu.txt
COPY docker/prune.py docker/stubs.py docker/imports.py docker/cuda.conf /docker/
RUN python /docker/prune.py /opt/banter/lib/python3.11/site-packages \
    && python /docker/stubs.py /opt/banter/lib/python3.11/site-packages \
    && cp /docker/cuda.conf /etc/ld.so.conf.d/banter.conf \
    && ldconfig \
    && python /docker/imports.py gpu

# With Ray, for the nodes and front ends of a cluster (docs/cluster.md).
FROM cpu-packages AS cpu-cluster-packages
COPY requirements/cpu-cluster.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --no-deps --require-hashes -r /requirements/cpu-cluster.txt

FROM gpu-packages AS gpu-cluster-packages
COPY requirements/gpu-cluster.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-compile --no-deps --require-hashes -r /requirements/gpu-cluster.txt

FROM base AS server
LABEL org.opencontainers.image.title="Banter" \
      org.opencontainers.image.description="A self-hosted realtime voice server: speak, be answered, interrupt" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"
ENV PATH=/opt/banter/bin:/opt/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BANTER_HOST=0.0.0.0 \
    BANTER_PORT=8000 \
    BANTER_VOLUME=/data
EXPOSE 8000
VOLUME /data
HEALTHCHECK --start-period=30m --interval=30s --timeout=10s --retries=3 \
    CMD ["python3", "/opt/docker/healthcheck.py"]
ENTRYPOINT ["tini", "-g", "--", "banter-start"]

FROM server AS gpu
# Which parts of the driver the NVIDIA runtime brings in.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-packages /opt/banter /opt/banter
# CTranslate2 opens cuBLAS by its name; here is the one that came with torch.
COPY docker/cuda.conf /etc/ld.so.conf.d/banter.conf
RUN ldconfig
COPY --from=source /layer /

FROM gpu AS gpu-cluster
COPY --from=gpu-cluster-packages /opt/banter /opt/banter

FROM server AS cpu-cluster
COPY --from=cpu-cluster-packages /opt/banter /opt/banter
COPY --from=source /layer /

FROM server AS cpu
COPY --from=cpu-packages /opt/banter /opt/banter
COPY --from=source /layer /

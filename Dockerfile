# syntax=docker/dockerfile:1
# The service in a container: `docker build -t agentic-compressor:cpu .`, and `--target cuda` for NVIDIA GPUs.
#
# --build-arg EXTRAS=...  the extras to install. `onnx` adds the embedding tier for CPUs, `models` all model tiers with
#                         PyTorch, `llama` the perplexity tier, which is compiled. The default build of PyTorch includes
#                         CUDA libraries; for the smaller CPU build set its index with
#                         --build-arg PIP_EXTRA_INDEX_URL=...
#
# The root file system may be read-only: state goes to the volume /data, temporary files to /tmp. The service listens on
# all addresses of the container, so it needs keys to start (COMPRESSOR_KEYS_FILE).
# tests/integration/deployment/test_deployment.py runs the commands of this file.

FROM python:3.12-slim AS build-cpu
ARG EXTRAS=service,redis,encryption,otel,mcp,images
ARG PIP_EXTRA_INDEX_URL=""
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=/src/.ci/llama.cmake"
# A compiler for our own kernels, and for the one package without a wheel. Debian removes superseded versions, so a pin
# would break the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE NOTICE ./
COPY .ci/llama.cmake .ci/
COPY agents agents
COPY compressor compressor
COPY models models
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/compressor \
    && set -- ".[$EXTRAS]" \
    && case ",$EXTRAS," in *,onnx,*|*,all,*) set -- "$@" ./models ;; esac \
    && python -m pip --python /opt/compressor/bin/python install -c constraints.txt "$@"

FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS build-cuda
ARG EXTRAS=service,redis,encryption,otel,mcp,images,models,llama
ARG PIP_EXTRA_INDEX_URL=""
# Ampere, Ada, Hopper, Blackwell
ARG CUDA_ARCHITECTURES="80;86;89;90;120"
ARG CMAKE_ARGS="-DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=$CUDA_ARCHITECTURES -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=/src/.ci/llama.cmake"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential python3 python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE NOTICE ./
COPY .ci/llama.cmake .ci/
COPY agents agents
COPY compressor compressor
COPY models models
# A separate cache, because pip's cache does not know which target a wheel was compiled for.
RUN --mount=type=cache,id=pip-cuda,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/compressor \
    && set -- ".[$EXTRAS]" \
    && case ",$EXTRAS," in *,onnx,*|*,all,*) set -- "$@" ./models ;; esac \
    && python3 -m pip --python /opt/compressor/bin/python install -c constraints.txt "$@"

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04 AS cuda
LABEL org.opencontainers.image.title="agentic-compressor" \
      org.opencontainers.image.description="Compresses what agents send to a hard token budget (CUDA)" \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 compressor \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin compressor \
    && install -d -o 10001 -g 10001 -m 0750 /data
ENV PATH=/opt/compressor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    HF_HOME=/data/huggingface \
    COMPRESSOR_CACHE_DIR=/data \
    COMPRESSOR_HOST=0.0.0.0 \
    COMPRESSOR_PORT=8787
COPY --from=build-cuda /opt/compressor /opt/compressor
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 CMD ["compressor", "healthcheck"]
ENTRYPOINT ["compressor"]
CMD ["serve"]

# The last stage is the default.
FROM python:3.12-slim AS cpu
LABEL org.opencontainers.image.title="agentic-compressor" \
      org.opencontainers.image.description="Compresses what agents send to a hard token budget" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 compressor \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin compressor \
    && install -d -o 10001 -g 10001 -m 0750 /data
ENV PATH=/opt/compressor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    HF_HOME=/data/huggingface \
    COMPRESSOR_CACHE_DIR=/data \
    COMPRESSOR_HOST=0.0.0.0 \
    COMPRESSOR_PORT=8787
COPY --from=build-cpu /opt/compressor /opt/compressor
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["compressor", "healthcheck"]
ENTRYPOINT ["compressor"]
CMD ["serve"]

# docker build -t maskgate .                            the gateway with every carrier in plugins/
# docker build -t maskgate-test --target test .         its tests:
#   docker run --rm maskgate-test test
#   docker run --rm -v "$PWD/htmlcov:/src/htmlcov" maskgate-test coverage

FROM python:3.12-slim AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /src
COPY . .

FROM source AS build
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/pip install '.[postgres]' ./plugins/*

# Root, so that the report can be written into a folder of whoever mounts it.
FROM source AS test
RUN apt-get update -q && apt-get install -qy --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
RUN pip install --root-user-action=ignore -e '.[dev]' $(printf ' -e %s' ./plugins/* ./examples/echo-carrier)
ENTRYPOINT ["sh", "/src/.ci/image"]
CMD ["test"]

FROM python:3.12-slim AS server
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_LISTEN=0.0.0.0:8000 \
    GATEWAY_DATABASE_URL=sqlite:////data/gateway.db
RUN useradd --system --user-group --uid 10001 --no-create-home --home-dir /data gateway \
 && install -d -o gateway -g gateway -m 700 /data
COPY --from=build /opt/gateway /opt/gateway
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Without a proxy: this asks the process in this container, whatever http_proxy says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['GATEWAY_LISTEN'].rpartition(':')[2] + '/healthz', timeout=4)"]
CMD ["gateway", "serve"]

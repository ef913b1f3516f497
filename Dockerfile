# The service for production, beside a PostgreSQL of its own (compose.yaml).
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements-build.txt requirements.txt ./
RUN python -m venv /build/tools \
    && /build/tools/bin/pip install --require-hashes -r requirements-build.txt \
    && python -m venv /opt/servicelane \
    && /opt/servicelane/bin/pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY alembic alembic
COPY openapi-examples openapi-examples
RUN /build/tools/bin/python -m hatchling build -t wheel \
    && /opt/servicelane/bin/pip install --no-deps dist/*.whl

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent servicelane \
    && install -d -o servicelane -g servicelane -m 0700 /var/lib/servicelane
COPY --from=build /opt/servicelane /opt/servicelane
ENV PATH=/opt/servicelane/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SERVICELANE_HOST=0.0.0.0 \
    SERVICELANE_PORT=8000 \
    SERVICELANE_DATA_DIR=/var/lib/servicelane
USER servicelane
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['SERVICELANE_PORT']}/healthz\", timeout=4)"]
ENTRYPOINT ["servicelane"]
CMD ["serve"]

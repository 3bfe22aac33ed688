FROM python:3.12-slim

# The SDK's TLS trusts the system's certificates, which slim images lack.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY producer producer
COPY worker worker
COPY emulator emulator
COPY cli cli
COPY gateway gateway
ARG EXTRAS=cli,worker,emulator,gateway,metrics,documents,mcp
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

RUN useradd --create-home threadmill && install -d -o threadmill -g threadmill /home/threadmill/results /home/threadmill/artifacts
USER threadmill
WORKDIR /home/threadmill

# Exec form: the worker, or its supervisor, is process 1 and gets SIGTERM itself.
STOPSIGNAL SIGTERM
ENTRYPOINT ["threadmill"]
CMD ["worker"]

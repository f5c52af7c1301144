# The worker, the command line and the simulator in one image; `docker-compose.yml` picks by command.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN ["python", "-m", "venv", "/opt/send-whatsapp"]
ENV PATH=/opt/send-whatsapp/bin:$PATH
WORKDIR /src
# The packages first: a change of our code then does not install them anew.
COPY requirements.txt ./
RUN ["pip", "install", "--require-hashes", "--only-binary=:all:", "-r", "requirements.txt"]
COPY . .
RUN ["pip", "install", "--no-deps", "--no-build-isolation", "."]

FROM python:3.11-slim-bookworm
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "send-whatsapp"]
COPY --from=build /opt/send-whatsapp /opt/send-whatsapp
# The simulated provider is not part of the package; `python -m simulator` runs from this folder.
COPY simulator /opt/simulator/simulator
ENV PATH=/opt/send-whatsapp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes' runAsNonRoot can judge it.
USER 10001
WORKDIR /tmp
# Exec form: SIGTERM reaches Python, and what is in flight can end.
CMD ["python", "-m", "worker"]

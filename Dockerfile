# One image for worker, command line, gateway and simulator; docker-compose.yml sets the command.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN ["python", "-m", "venv", "/opt/send-whatsapp"]
ENV PATH=/opt/send-whatsapp/bin:$PATH
WORKDIR /src
# Packages first, so that a change of our code does not install them again.
COPY requirements.txt ./
RUN ["pip", "install", "--require-hashes", "--only-binary=:all:", "-r", "requirements.txt"]
COPY . .
RUN ["pip", "install", "--no-deps", "--no-build-isolation", "."]

FROM python:3.11-slim-bookworm
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "send-whatsapp"]
COPY --from=build /opt/send-whatsapp /opt/send-whatsapp
# The simulator is not part of the installed package; `python -m simulator` runs in this folder.
COPY simulator /opt/simulator/simulator
ENV PATH=/opt/send-whatsapp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, because Kubernetes' runAsNonRoot cannot check a name.
USER 10001
WORKDIR /tmp
# Exec form, so that SIGTERM reaches Python and running activities can finish.
CMD ["python", "-m", "worker"]

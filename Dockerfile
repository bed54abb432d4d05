FROM python:3.12.13-slim-bookworm AS build
WORKDIR /src
# One version of each package, its hash checked; what follows can take no other.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --only-binary :all: --dest /wheels -r requirements.lock
COPY . .
RUN pip wheel --quiet --no-index --find-links /wheels --no-deps --wheel-dir /dist . \
    && python -m venv --without-pip /app \
    && pip --python /app/bin/python install --quiet --no-index --find-links /wheels "$(ls /dist/*.whl)[monitor]"

FROM python:3.12.13-slim-bookworm
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH
# A number, so that Kubernetes too can see that it is not root.
USER 10001:10001
# The exec form makes the worker process 1: SIGTERM reaches it without an init.
ENTRYPOINT ["domination"]
CMD ["worker"]

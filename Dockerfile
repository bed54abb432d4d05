FROM python:3.12.13-slim-bookworm@sha256:8a7e7cc04fd3e2bd787f7f24e22d5d119aa590d429b50c95dfe12b3abe52f48b AS build
WORKDIR /src
# One version of each package, its hash checked; what follows can take no other.
COPY requirements.lock requirements-build.lock ./
RUN for lock in requirements.lock requirements-build.lock; do \
        pip download --quiet --require-hashes --only-binary :all: --dest /wheels -r $lock || exit 1; \
    done
COPY . .
RUN pip wheel --quiet --no-index --find-links /wheels --no-deps --wheel-dir /dist . \
    && python -m venv --without-pip /app \
    && pip --python /app/bin/python install --quiet --no-index --find-links /wheels "$(ls /dist/*.whl)[monitor]"

FROM python:3.12.13-slim-bookworm@sha256:8a7e7cc04fd3e2bd787f7f24e22d5d119aa590d429b50c95dfe12b3abe52f48b
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH
# A number, so that Kubernetes too can see that it is not root.
USER 10001:10001
# The exec form makes the worker process 1: SIGTERM reaches it without an init.
ENTRYPOINT ["domination"]
CMD ["worker"]

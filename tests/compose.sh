#!/usr/bin/env bash
# Run docker-compose.yml as a whole: 10,000 ratings become 10,000 rows, although the worker is killed.
# Its containers and volumes are its own, and are deleted at the end. The ports must be free.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME=domination-test

end() {
    status=$?
    if ((status)); then docker compose logs --no-color --tail 200 || true; fi
    docker compose down --volumes
    exit "$status"
}
trap end EXIT

# Wait until a command succeeds, for 5 minutes at most.
until_true() {
    for ((i = 0; i < 300; i++)); do
        if "$@"; then return; fi
        sleep 1
    done
    echo "not within 5 minutes: $*" >&2
    return 1
}

domination() { docker compose run --rm --no-deps -T "$@"; }
of_worker() { docker inspect --format "$1" "$worker"; }
has_come_back() { [[ $(of_worker '{{.RestartCount}} {{.State.Running}}') =~ ^[1-9][0-9]*\ true$ ]]; }
rows() { docker exec clickhouse clickhouse-client --query "SELECT count() FROM shadow FINAL"; }
all_are_rows() { test "$(rows)" = 10000; }

docker compose up -d --wait
worker=$(docker compose ps --quiet worker)

domination producer produce --count 5000
# As the kernel kills a process: Docker does not restart a container that `docker kill` ended.
docker run --rm --pid host --user 0 --entrypoint python domination \
    -c "import os; os.kill($(of_worker '{{.State.Pid}}'), 9)"
until_true has_come_back

# Only the worker that has come back can judge these.
domination producer produce --count 5000
until_true all_are_rows
report=$(domination schema report)
echo "$report"
grep -qE '^total +10,000$' <<<"$report"
grep -qx 'broken records: 0' <<<"$report"

docker compose stop worker
test "$(of_worker '{{.State.ExitCode}}')" = 0

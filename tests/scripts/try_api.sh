#!/usr/bin/env bash
# Asks the API what Schemathesis makes of its own description: no fault of the server, no answer that the description does not
# have. SHARDFIT names the binary, SCHEMATHESIS the program; more arguments are Schemathesis' own.
set -euo pipefail
said="$(mktemp)"
"${SHARDFIT:-shardfit}" serve --port 0 2>"$said" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$said"' EXIT
address=""
for _ in $(seq 50); do
    address="$(sed -n 's/.*answers at \(http:[^ ]*\)\/ .*/\1/p' "$said")"
    [ -n "$address" ] && break
    sleep 0.1
done
[ -n "$address" ] || { cat "$said" >&2; exit 1; }
# Jobs' ids are the server's, and events last as long as a job: the tests of the crate ask them.
"${SCHEMATHESIS:-schemathesis}" run "$address/api/v1/openapi.json" --max-examples 25 --request-timeout 40 \
    --exclude-path-regex 'jobs' --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --suppress-health-check all "$@"

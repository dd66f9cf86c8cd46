#!/usr/bin/env bash
# A masked conversation in curl, on this machine alone: a simulated carrier network with two phones, a gateway,
# and every request you would make of it. Needs `gateway` on the PATH (or GATEWAY_BIN and PYTHON_BIN), and curl.
set -euo pipefail
from_here() { case $1 in /*) echo "$1" ;; */*) echo "$PWD/$1" ;; *) echo "$1" ;; esac; } # we leave this folder below
gateway=$(from_here "${GATEWAY_BIN:-gateway}")
python=$(from_here "${PYTHON_BIN:-python3}")
unset GATEWAY_BIN "${!GATEWAY_@}" "${!SIMULATOR_@}" # what you have set for a gateway of your own
export no_proxy='*' NO_PROXY='*'
if ! command -v curl >/dev/null || ! command -v "$gateway" >/dev/null ||
  ! (cd / && "$python" -c 'import gateway.testing.network, gateway_simulator' 2>/dev/null); then
  echo "two-phones.sh: needs curl, \`$gateway\`, and a \`$python\` that finds the gateway and its simulated carrier." >&2
  echo "From the checkout: python3 -m venv .venv && .venv/bin/pip install . ./plugins/*" >&2
  echo "Then: PATH=\$PWD/.venv/bin:\$PATH examples/two-phones.sh" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder" # so that no .env and no gateway.db of yours takes part

say() { printf '\n# %s\n' "$*"; }
run() { # print a request as you would type it, then make it
  printf '$ curl -sS'
  local word
  for word in "$@"; do case $word in *[!A-Za-z0-9:/._+-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac; done
  printf '\n'
  curl -sS --fail-with-body --max-time 20 "$@"
  printf '\n'
}
newest() { sed 's/^{"inbox": .*\({[^{}]*}\)\]}$/newest: \1/'; } # of an inbox, the last text
first_line_of() { # wait until the file has a line that matches, and print it; say what went wrong if its writer dies
  for _ in $(seq 200); do
    if grep -m 1 "$2" "$1" 2>/dev/null; then return; fi
    kill -0 "$3" 2>/dev/null || break
    sleep 0.1
  done
  cat "$1" >&2
  return 1
}

say 'A carrier network of our own, with a handset for every number that is used.'
"$python" -m gateway.testing.network --port 0 --key try-me >network.log 2>&1 &
network=$(first_line_of network.log '^http' $!)
echo "$network"

say 'The gateway, as it would run for real; only that its carrier is the simulated one.'
export SIMULATOR_URL=$network SIMULATOR_KEY=try-me GATEWAY_TN_CARRIER=simulator GATEWAY_MASK_CARRIER=simulator
GATEWAY_LISTEN=127.0.0.1:0 "$gateway" serve >gateway.log 2>&1 &
url=$(first_line_of gateway.log ' ready on ' $! | grep -o 'http://.*')
echo "$url"
json='Content-Type: application/json'
carrier='Authorization: Bearer try-me'
curl -sS --fail-with-body -o /dev/null -X PUT "$network/webhook" -H "$carrier" -H "$json" -d "{\"url\": \"$url/webhooks/simulator\"}"

say 'Put a number of ours into the pool: the mask.'
run -X POST "$url/tn" -H "$json" -d '{"value": "12065550199"}'

say 'Open a session between two people. Both are told that it has started.'
run -X POST "$url/session" -H "$json" -d '{"participant_a": "12065550101", "participant_b": "12065550102", "expiry_window": 60}' | tee session
session=$(grep -o '"session_id": "[0-9a-f]*"' session | cut -d '"' -f 4)

say 'The first person texts the mask, the second answers: two handsets of the simulated network.'
run -X POST "$network/handsets/+12065550101/text" -H "$carrier" -H "$json" -d '{"to": "+12065550199", "text": "Where are you?"}'
run "$network/handsets/+12065550102/inbox?wait=2&timeout=10" -H "$carrier"
run -X POST "$network/handsets/+12065550102/text" -H "$carrier" -H "$json" -d '{"to": "+12065550199", "text": "At the door."}'
run "$network/handsets/+12065550101/inbox?wait=2&timeout=10" -H "$carrier"

say 'What is in the pool, and which sessions are in progress.'
run "$url/tn"
run "$url/session"

say 'End it. Both are told, and the number is free again.'
run -X DELETE "$url/session" -H "$json" -d "{\"session_id\": \"$session\"}"

say 'A late text reaches nobody: whoever sent it gets words, and the newest on the other handset is still the end text.'
run -X POST "$network/handsets/+12065550101/text" -H "$carrier" -H "$json" -d '{"to": "+12065550199", "text": "One more thing."}'
run "$network/handsets/+12065550101/inbox?wait=4&timeout=10" -H "$carrier" | newest
run "$network/handsets/+12065550102/inbox?wait=3&timeout=10" -H "$carrier" | newest

#!/bin/sh
# The demonstration behind `make demo`: a registry serves a pipeline on real data, from dev to prod. Nothing is hidden:
# every command is printed before it runs, and you can type the same. Uses a home of its own, or ENTREPOT_HOME if set.
set -eu
cd "$(dirname "$0")"

command -v entrepot >/dev/null || { echo "demo: entrepot is not on PATH; run make demo, or make setup first" >&2; exit 1; }
if [ -z "${ENTREPOT_HOME:-}" ]; then
    ENTREPOT_HOME=$(mktemp -d "${TMPDIR:-/tmp}/entrepot-demo.XXXXXX")
    is_temporary=yes
    # built once, not at each demonstration: it is most of the time
    ENTREPOT_ENVIRONMENTS_FOLDER=${ENTREPOT_ENVIRONMENTS_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/entrepot/environments}
    export ENTREPOT_ENVIRONMENTS_FOLDER
fi
export ENTREPOT_HOME ENTREPOT_PORT="${ENTREPOT_PORT:-0}" ENTREPOT_HTTPS_PORT="${ENTREPOT_HTTPS_PORT:-0}"
is_ours=yes # a server that runs already in a home of yours is left running
! entrepot status --output none >/dev/null 2>&1 </dev/null || is_ours=no
TRY=${DEMO_TRY:-1} # a second try in the same home wants other job names and model versions: DEMO_TRY=2
STEP_LIMIT_S=900   # building the environment of the first step may have to download it

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi

say() { printf '\n%s# %s%s\n' "$dim" "$*" "$plain"; }

show() { # print a command the way it would be typed
    printf '%s$' "$bold"
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=@%+,-]* | '') printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '%s\n' "$plain"
}

run() { show "$@"; timeout "$STEP_LIMIT_S" "$@" </dev/null; }

ask() { timeout "$STEP_LIMIT_S" "$@" --output tsv </dev/null; } # for a value that a later command needs

finish() {
    code=$?
    trap - EXIT INT TERM
    [ "$code" = 0 ] || printf '\ndemo: failed (exit %s) at the command above; see %s/logs/server.log\n' "$code" "$ENTREPOT_HOME" >&2
    [ "$is_ours" = no ] || entrepot down >/dev/null 2>&1 </dev/null || true
    if [ "$code" = 0 ] && [ "${is_temporary:-no}" = yes ]; then rm -rf "$ENTREPOT_HOME"; fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "One process is the whole service: metadata in SQLite, bytes in files, jobs as local processes."
run entrepot up --detach
run entrepot account show --output table
run entrepot group create --name contoso-rg --location eastus --output none
run entrepot configure --defaults group=contoso-rg workspace=dev location=eastus

say "An operations team makes the registry from an ARM template. It copies its assets to two regions."
run entrepot deployment group create --template-file arm/registry.json --parameters registryName=contoso --query properties.provisioningState
run entrepot ml registry show --name contoso --query '{registry:name, primary:location, regions:replication_locations[].location}'

say "Two teams, two regions: dev makes models, prod uses them."
run entrepot ml workspace create --file workspace-dev.yml --query '{workspace:name, region:location}' --output table
run entrepot ml workspace create --file workspace-prod.yml --query '{workspace:name, region:location}' --output table

say "Five components are published to the registry, with an environment of the public registry azureml."
environment=azureml://registries/azureml/environments/sklearn-1.5/labels/latest
for file in prep transform train predict score; do
    run entrepot ml component create --file "nyc_taxi/$file.yml" --registry-name contoso --set "environment=$environment" --query id --output tsv
done
run entrepot ml component list --registry-name contoso --output table

say "The workspace dev runs a pipeline of these components on ten thousand taxi trips, and streams its log."
job="taxi-train-$TRY"
run entrepot ml job create --file nyc_taxi/pipeline-registry.yml --name "$job" --query '{job:name, status:status}' --output table
run entrepot ml job stream --name "$job"

say "Each child names the registry component that it ran."
run entrepot ml job list --parent-job-name "$job" --query '[].{step:display_name, component:component, status:status}' --output table
train=$(ask entrepot ml job list --parent-job-name "$job" --query "[?display_name=='train_job'].name | [0]")

say "What the training step logged with mlflow belongs to its job."
run entrepot ml job show --name "$train" --query metrics

say "The trained model is registered in dev from the job's output, and shared with everyone through the registry."
run entrepot ml model create --name taxi --version "$TRY" --type mlflow_model --path "azureml://jobs/$train/outputs/model_output" --query id --output tsv
run entrepot ml model share --name taxi --version "$TRY" --registry-name contoso --share-with-name taxi --share-with-version "$TRY" --query id --output tsv

say "The workspace prod, in another region, takes the model from the registry and scores with it."
score="taxi-score-$TRY"
run entrepot ml job create --file nyc_taxi/pipeline-prod.yml --workspace-name prod --name "$score" --set "inputs.model.path=azureml://registries/contoso/models/taxi/versions/$TRY" --query '{job:name, status:status}' --output table
run entrepot ml job stream --workspace-name prod --name "$score"
run entrepot ml job download --workspace-name prod --name "$score" --output-name score_report --download-path "$ENTREPOT_HOME/report-$TRY"
run find "$ENTREPOT_HOME/report-$TRY" -name score.json -exec cat {} +

say "And anyone in prod can ask where the model came from."
run entrepot ml model show --name taxi --version "$TRY" --registry-name contoso --query '{model:id, provenance:provenance, regions:regions}' --output yaml

endpoint="taxi-fares-$TRY" version="azureml://registries/contoso/models/taxi/versions"
say "Prod serves it: an endpoint, and behind it the deployment blue. An MLflow model needs neither code nor environment."
run entrepot ml online-endpoint create --file nyc_taxi/endpoint.yml --workspace-name prod --name "$endpoint" --query scoring_uri --output tsv
run entrepot ml online-deployment create --file nyc_taxi/deploy.yml --workspace-name prod --endpoint-name "$endpoint" --set "model=$version/$TRY" --all-traffic --query '{deployment:name, state:provisioning_state}' --output table
uri=$(ask entrepot ml online-endpoint show --workspace-name prod --name "$endpoint" --query scoring_uri)
key=$(ask entrepot ml online-endpoint get-credentials --workspace-name prod --name "$endpoint" --query primaryKey)
score() { # a key belongs in no log
    show curl --header 'Authorization: Bearer ...' --header 'Content-Type: application/json' --data @nyc_taxi/request.json "$uri"
    printf 'header = "Authorization: Bearer %s"\n' "$key" | curl --silent --show-error --fail --config - --header 'Content-Type: application/json' --data @nyc_taxi/request.json --dump-header - "$uri" | grep -iE '^(azureml-model-deployment|\[)'
}
score

say "Dev trains anew, with more trips kept aside; the steps before are not run again. The second model takes the same way."
job="taxi-train-$TRY-again" second=$((TRY + 100))
run entrepot ml job create --file nyc_taxi/pipeline-registry.yml --name "$job" --set jobs.train_job.inputs.test_fraction=0.5 --query name --output tsv
run entrepot ml job stream --name "$job"
train=$(ask entrepot ml job list --parent-job-name "$job" --query "[?display_name=='train_job'].name | [0]")
run entrepot ml model create --name taxi --version "$second" --type mlflow_model --path "azureml://jobs/$train/outputs/model_output" --query id --output tsv
run entrepot ml model share --name taxi --version "$second" --registry-name contoso --share-with-name taxi --share-with-version "$second" --query id --output tsv

say "It becomes green, with no traffic at first, then with a tenth, then with all."
run entrepot ml online-deployment create --file nyc_taxi/deploy.yml --workspace-name prod --endpoint-name "$endpoint" --name green --set "model=$version/$second" --query '{deployment:name, state:provisioning_state}' --output table
run entrepot ml online-endpoint update --workspace-name prod --name "$endpoint" --traffic 'blue=90 green=10' --query traffic
score
run entrepot ml online-endpoint update --workspace-name prod --name "$endpoint" --traffic 'blue=0 green=100' --query traffic
score

say "What is served cannot be deleted; what serves nothing goes."
show entrepot ml online-deployment delete --workspace-name prod --endpoint-name "$endpoint" --name green --yes
if entrepot ml online-deployment delete --workspace-name prod --endpoint-name "$endpoint" --name green --yes </dev/null; then exit 1; fi
run entrepot ml online-deployment delete --workspace-name prod --endpoint-name "$endpoint" --name blue --yes
run entrepot ml online-deployment list --workspace-name prod --endpoint-name "$endpoint" --query '[].{deployment:name, model:model, state:provisioning_state}' --output table

if [ "$is_ours" = yes ]; then
    say "That was it: the server stops."
    run entrepot down
fi

cat <<TEXT

How to go on:
  the same by hand     docs/tutorial.md
  look at the files    examples/nyc_taxi/
  your own server      entrepot up            (its home is ~/.entrepot, or what --home says)
  every command        entrepot --help        entrepot ml job create --help
TEXT

"""The sentences of the help pages: one line for each group, command and option. Loaded for -h only."""

NOUNS = {
    "azure-openai-deployment": "Azure OpenAI deployment",
    "batch-deployment": "batch deployment",
    "batch-endpoint": "batch endpoint",
    "capability-host": "capability host",
    "component": "component",
    "compute": "compute target",
    "connection": "connection",
    "data": "data asset",
    "datastore": "datastore",
    "deployment-template": "deployment template",
    "environment": "environment",
    "feature-set": "feature set",
    "feature-store": "feature store",
    "feature-store-entity": "feature store entity",
    "index": "index",
    "job": "job",
    "marketplace-subscription": "marketplace subscription",
    "model": "model",
    "online-deployment": "online deployment",
    "online-endpoint": "online endpoint",
    "registry": "registry",
    "schedule": "schedule",
    "serverless-endpoint": "serverless endpoint",
    "workspace": "workspace",
    "outbound-rule": "outbound rule",
    "account": "subscription",
    "group": "resource group",
    "deployment": "deployment",
}

GROUPS = {
    "ml": "Registries, workspaces and what is in them.",
    "ml azure-openai-deployment": "Deployments of Azure OpenAI.",
    "ml batch-deployment": "What answers behind a batch endpoint.",
    "ml batch-endpoint": "Stable names for scoring many files at a time.",
    "ml capability-host": "Hosts of agents.",
    "ml component": "Reusable steps of pipelines, versioned.",
    "ml compute": "Where jobs run.",
    "ml connection": "Credentials for services outside.",
    "ml data": "Files, folders and tables, versioned.",
    "ml datastore": "Where a workspace keeps bytes.",
    "ml deployment-template": "Ready-made settings for deploying models.",
    "ml environment": "The software that code runs in, versioned.",
    "ml feature-set": "Features computed from data.",
    "ml feature-store": "Homes of features.",
    "ml feature-store-entity": "What features are about.",
    "ml index": "Search indexes over documents.",
    "ml job": "Runs of commands and pipelines.",
    "ml marketplace-subscription": "Subscriptions to models sold by others.",
    "ml model": "Trained models, versioned.",
    "ml online-deployment": "What answers behind an online endpoint.",
    "ml online-endpoint": "Stable names for scoring one request at a time.",
    "ml registry": "Places from which assets are shared with all workspaces.",
    "ml schedule": "Jobs that start by the clock.",
    "ml serverless-endpoint": "Endpoints without compute of their own.",
    "ml workspace": "Places where a team works.",
    "ml workspace outbound-rule": "What a workspace may reach outside.",
    "account": "Who you are here, and tokens.",
    "configure": "Defaults for the options of all commands.",
    "deployment": "ARM templates.",
    "deployment group": "Deploy ARM templates to a resource group.",
    "down": "Stop the server.",
    "env": "What points Azure's and MLflow's clients at the server.",
    "group": "Resource groups.",
    "rest": "Send any request to the server.",
    "run": "Run a command whose Azure and MLflow clients find the server.",
    "status": "Tell whether the server runs.",
    "up": "Start the server.",
    "version": "Tell the version.",
}

FRONT_PAGE = (
    ("The server", ("up", "down", "status", "env", "run")),
    ("Machine learning", ("ml",)),
    ("As in az", ("account", "configure", "deployment", "group", "rest", "version")),
)

VERBS = {
    "archive": "Hide {a} from lists; it can still be used.",
    "attach": "Attach {a} that exists elsewhere.",
    "cancel": "Cancel {a} and all its processes.",
    "create": "Create {a}, from a YAML file or from options.",
    "delete": "Delete {a}.",
    "detach": "Detach {a}.",
    "disable": "Disable {a}.",
    "download": "Download the files of {a}.",
    "enable": "Enable {a}.",
    "exists": "Tell whether {a} exists.",
    "get-credentials": "Tell the keys or a token of {a}.",
    "import": "Import {a} from outside.",
    "invoke": "Call {a}.",
    "list": "List {s}, the newest first.",
    "list-jobs": "List the jobs of {a}.",
    "list-keys": "Tell the keys of {a}.",
    "mount": "Mount {a} as a folder.",
    "package": "Package {a} with what it needs.",
    "regenerate-keys": "Make a new key for {a}.",
    "remove": "Remove {a}.",
    "restart": "Restart {a}.",
    "restore": "Bring an archived {n} back into lists.",
    "set": "Set {a}.",
    "share": "Copy {a} from a workspace to a registry, with all that it needs.",
    "show": "Show {a}.",
    "start": "Start {a}.",
    "stop": "Stop {a}.",
    "stream": "Follow the log of {a} until it ends.",
    "trigger": "Start {a} now.",
    "update": "Change what may change of {a}.",
    "validate": "Check {a} without creating it.",
}

COMMANDS = {
    "account clear": "Forget which subscription was set.",
    "account get-access-token": "Print a token for the server.",
    "account list-locations": "List the regions of this server.",
    "account set": "Choose the subscription for the commands to come.",
    "account show": "Show the subscription in use, and who you are.",
    "configure": "Set (name=value) or list the defaults of options.",
    "deployment group create": "Deploy an ARM template to a resource group.",
    "deployment group delete": "Forget a deployment; what it made stays.",
    "deployment group what-if": "Tell what a template would change.",
    "down": "Stop the server of this home, and wait until it has ended.",
    "env": "Print the variables that point Azure's and MLflow's clients at the server: eval \"$(entrepot env)\".",
    "group delete": "Delete a resource group and all that is in it.",
    "ml component prepare-for-sign": "Write what a signature of the component would cover.",
    "ml data list-materialization-status": "List the states of data imports.",
    "ml job connect-ssh": "Open a shell in a running job.",
    "ml job download": "Download a job's logs, artifacts and named outputs.",
    "ml job show-services": "Show the services of a running job.",
    "ml online-deployment get-logs": "Print the log of a deployment.",
    "ml workspace diagnose": "Check what a workspace depends on.",
    "ml workspace provision-network": "Make a workspace's network ready.",
    "ml workspace sync-keys": "Read the keys of a workspace's resources again.",
    "rest": "Send any request to the server, signed in.",
    "run": "Run the command behind -- with the variables that `env` prints, and end as it ends.",
    "status": "Show where the server of this home runs; exit code 3 when it does not.",
    "up": "Start the server: one process for all roles. Ctrl-C ends it.",
    "version": "Show the versions of Entrepot and Python.",
}

OPTIONS = {
    "--add": "Add to a list: --add path.to.list key=value, or a string or JSON.",
    "--all": "Everything: artifacts and all named outputs.",
    "--all-results": "Return all, not only the newest.",
    "--all-traffic": "Send all traffic to the new deployment.",
    "--archived-only": "List archived ones only.",
    "--body": "The body of the request; @file takes it from a file.",
    "--az": "Only what the genuine az needs where Entrepot is registered as a cloud of it.",
    "--build-context": "Folder with a Dockerfile and what it needs.",
    "--conda-file": "Conda specification file.",
    "--datastore": "Datastore to upload to.",
    "--debug": "Show each request, and tracebacks.",
    "--defaults": "name=value pairs; an empty value removes the default.",
    "--description": "A description for people.",
    "--detach": "Start in the background and return when it is ready.",
    "--display-name": "A name for people.",
    "--dockerfile-path": "The Dockerfile's path within the build context.",
    "--download-path": "Folder to download into. Default: the current folder.",
    "--endpoint-name": "Name of the endpoint.",
    "--file": "YAML file that says it all; other options go before what it says.",
    "--force-string": "Keep the values of --set as strings.",
    "--format": "sh, fish, powershell or json. Default: sh.",
    "--headers": "Headers as name=value pairs or JSON.",
    "--help": "Show this help.",
    "--home": "Home of the server. Default: ENTREPOT_HOME, or ~/.entrepot.",
    "--host": "Address to listen on. Default: 127.0.0.1.",
    "--hostname": "Name by which other machines reach the server; needed with a --host that lets them in.",
    "--https-port": "Port for HTTPS; 0 takes any free one.",
    "--image": "Image to start from.",
    "--include-archived": "List archived ones too.",
    "--label": "Label that stands for a version: latest.",
    "--list-defaults": "List the defaults that are set.",
    "--location": "Region.",
    "--max-results": "How many to return at most.",
    "--method": "HTTP method.",
    "--mode": "Mode of the deployment or mount.",
    "--no-wait": "Return as soon as it has begun.",
    "--only-show-errors": "Print no warnings and no notes.",
    "--os-type": "Operating system.",
    "--output": "How to print the result.",
    "--output-name": "Name of the output to download.",
    "--parameters": "name=value, a file with parameters, or JSON.",
    "--parent-job-name": "List the children of this job.",
    "--path": "Local file or folder, or a reference such as azureml://jobs/<job>/outputs/<output>.",
    "--port": "Port for HTTP; 0 takes any free one.",
    "--public-network-access": "Enabled or Disabled.",
    "--query": "JMESPath expression; see https://jmespath.org.",
    "--registry-name": "Work in this registry instead of a workspace.",
    "--remove": "Remove a property, or an item of a list: --remove path INDEX.",
    "--resource-group": "Name of the resource group.",
    "--save-as": "Write the created job to this YAML file.",
    "--set": "Set a field: --set path.to.field=value.",
    "--share-with-name": "Name in the registry. Default: the same name.",
    "--share-with-version": "Version in the registry. Default: the same version.",
    "--skip-validation": "Do not check before sending.",
    "--stage": "Stage, such as Development or Production.",
    "--stream": "Follow the log until the job ends.",
    "--subscription": "Name or id of the subscription.",
    "--tags": "Tags as name=value pairs.",
    "--template-file": "File with the ARM template.",
    "--timeout": "Seconds to wait.",
    "--type": "Type.",
    "--url": "Path on the server, or an address of it.",
    "--uri-parameters": "Query parameters as name=value pairs.",
    "--verbose": "Show each request.",
    "--version": "Version.",
    "--web": "Print the address of the page that shows it.",
    "--what-if": "Tell what would change before deploying.",
    "--workspace-name": "Name of the workspace.",
    "--yes": "Do not ask.",
}

EXAMPLES = {
    "up": ("entrepot up", "entrepot up --home ./demo --port 0 --https-port 0 --detach"),
    "env": (
        'eval "$(entrepot env)"',
        "entrepot env --format fish | source",
        "entrepot env --format json",
        'eval "$(entrepot env --az)"',
    ),
    "run": ("entrepot run -- python train.py",),
    "account show": ("entrepot account show --query id -o tsv",),
    "configure": (
        "entrepot configure --defaults group=contoso-rg workspace=dev location=eastus",
        "entrepot configure -l --query \"[?name=='workspace'].value\" -o tsv",
    ),
    "group create": ("entrepot group create -n contoso-rg -l eastus",),
    "deployment group create": (
        "entrepot deployment group create --template-file registry.json -p registryName=contoso",
    ),
    "rest": ("entrepot rest -m get -u /subscriptions",),
    "ml registry create": ("entrepot ml registry create --file registry.yml",),
    "ml registry show": ("entrepot ml registry show -n contoso",),
    "ml workspace create": ("entrepot ml workspace create -n prod -l westus",),
    "ml environment create": ("entrepot ml environment create --file env.yml --registry-name contoso",),
    "ml component create": (
        "entrepot ml component create --file component.yml --registry-name contoso",
        "entrepot ml component create --file train.yml --registry-name contoso --set version=3",
    ),
    "ml component list": ("entrepot ml component list --registry-name contoso -o table",),
    "ml model create": (
        "entrepot ml model create --file model.yml --registry-name contoso",
        "entrepot ml model create --name taxi --version 1 --type mlflow_model"
        " --path azureml://jobs/JOB/outputs/artifacts/paths/model",
    ),
    "ml model show": ("entrepot ml model show --name taxi --version 1 --registry-name contoso --query id -o tsv",),
    "ml model list": ("entrepot ml model list --name taxi --include-archived -o table",),
    "ml model share": ("entrepot ml model share --name taxi --version 1 --registry-name contoso",),
    "ml component share": ("entrepot ml component share --name train --version 3 --registry-name contoso",),
    "ml model download": ("entrepot ml model download --name taxi --version 1 --download-path ./taxi",),
    "ml model update": ("entrepot ml model update --name taxi --version 1 --set tags.stage=Prod",),
    "ml data create": ("entrepot ml data create --name trips --version 1 --type uri_folder --path ./data",),
    "ml job create": ("entrepot ml job create --file pipeline.yml --stream",),
    "ml job stream": ("entrepot ml job stream -n JOB",),
    "ml job show": ("entrepot ml job show -n JOB --query status -o tsv",),
    "ml job list": ("entrepot ml job list --parent-job-name JOB -o table",),
    "ml job download": ("entrepot ml job download -n JOB --all --download-path ./results",),
    "ml job cancel": ("entrepot ml job cancel -n JOB",),
}


def group_summary(prefix: str) -> str:
    """Return the sentence for a group."""
    return GROUPS.get(prefix, f"Commands for {prefix.split()[-1]}.")


def command_summary(area: str, name: str) -> str:
    """Return the sentence for a command."""
    words = f"ml {name}" if area == "ml" else name
    if words in COMMANDS:
        return COMMANDS[words]
    parts = name.split()
    noun = NOUNS.get(parts[-2] if len(parts) > 1 else parts[0], "")
    noun = noun or NOUNS.get(parts[0], parts[0])
    plain = parts[-1].replace("-", " ")
    template = VERBS.get(parts[-1], plain[:1].upper() + plain[1:] + " of {a}.")
    article = "an" if noun[0] in "aeioAEIO" else "a"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return template.format(a=f"{article} {noun}", n=noun, s=plural)


def option_summary(area: str, name: str, option: str) -> str:
    """Return the sentence for an option of a command."""
    noun = NOUNS.get(name.split()[0], "resource")
    if option in ("--name", "--version"):
        return f"{option[2:].capitalize()} of the {noun}."
    if option == "--detach" and area == "ml":
        return "Detach."
    plain = option[2:].replace("-", " ")
    return OPTIONS.get(option, plain[:1].upper() + plain[1:] + ".")

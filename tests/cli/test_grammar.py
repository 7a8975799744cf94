"""Every command of the grammar parses, by the rules that real `az` lines rely on."""

import shlex
from pathlib import Path

import pytest

from entrepot.cli import grammar, handlers, parser
from entrepot.cli.configuration import Configuration
from entrepot.cli.helptext import command_help, group_help
from entrepot.client.failures import UsageFailure

SCOPE = "-g rg -w ws"

LINES = [
    f"ml model show --name m --version 1 {SCOPE} --query id -o tsv",
    "ml model show -n m -v 1 --registry-name contoso -otsv",
    "ml model list --registry-name=contoso --output table --query [].name",
    f"ml model create --name taxi --version 1 --type mlflow_model --path azureml://jobs/j/outputs/artifacts {SCOPE}",
    f"ml model create --file model.yml --set version=3 tags.stage=Prod --set name=x {SCOPE}",
    f"ml model update --name m --version 1 --set tags.stage=Prod flavors.python_function.python_version=3.8 {SCOPE}",
    f"ml model share --name m --version 1 --registry-name r --share-with-name m --share-with-version 1 {SCOPE}",
    f"ml model share --name m --version 1 --registry-name r {SCOPE}",
    f"ml model archive --name m --label latest {SCOPE}",
    "ml component create --file train.yml --registry-name contoso --set environment=azureml://registries/a/b",
    "ml component create --file prep.yml --query name -o tsv --registry-name ContosoMLjun14 --skip-validation",
    "ml component share -n c -v 1 --registry-name contoso -g rg -w ws",
    "ml environment create --file env.yml --registry-name contoso",
    f"ml environment create -n e -i docker.io/python -c conda.yml --tags a=b c=d --os-type linux {SCOPE}",
    f"ml data create --name d -v 1 --path ./data --type uri_folder --description 'two words' {SCOPE}",
    f"ml data list-materialization-status --name d --all-results {SCOPE}",
    f"ml job create --file pipeline.yml --stream --set jobs.train.component=azureml://registries/r {SCOPE}",
    f"ml job create --f job.yml --workspace ws -g rg --web {SCOPE}",
    f"ml job stream -n j {SCOPE}",
    f"ml job list --parent-job-name j --max-results 10 --query \"[?status=='Failed'].name\" {SCOPE}",
    f"ml job download --name j --all --download-path out --output-name model {SCOPE}",
    f"ml job cancel -n j --only-show-errors {SCOPE}",
    f"ml online-endpoint create --name e --auth-mode key --local {SCOPE}",
    f'ml online-endpoint update -n e --traffic "blue=90 green=10" --mirror-traffic green=10 {SCOPE}',
    f"ml online-deployment create --file d.yml --endpoint e --all-traffic --with-package {SCOPE}",
    f"ml online-deployment get-logs -e e -n blue -l 100 {SCOPE}",
    f"ml batch-endpoint invoke --name e --input azureml:d:1 --input-type uri_folder {SCOPE}",
    f"ml batch-deployment create -f d.yml --endpoint-name e --set-default {SCOPE}",
    f"ml compute create -n cpu --type amlcompute --min-instances 0 --max-instances 5 --size Standard_DS3_v2 {SCOPE}",
    f"ml compute delete -n cpu --yes {SCOPE}",
    "ml workspace create -n dev -g rg --location eastus",
    "ml workspace outbound-rule list -g rg -w ws",
    "ml registry create --file registry.yml -g rg --no-wait",
    "ml registry show -n contoso -g rg",
    f"ml schedule disable -n s {SCOPE}",
    f"ml datastore create --file d.yml {SCOPE}",
    f"ml connection create --file c.yml --populate-secrets {SCOPE}",
    f"ml feature-set backfill -n f --feature-store-name s --by-data-status None {SCOPE}",
    "account show --query id -o tsv",
    "account set -s 00000000-0000-0000-0000-000000000001",
    "account get-access-token --scope https://ml.azure.com/.default --output none",
    "group create -n rg -l eastus --tags a=b",
    "group show --name rg --query location",
    "deployment group create --template-file registry.json -p registryName=contoso -g rg",
    "configure --defaults group=rg workspace=ws location=eastus",
    "login --use-device-code",
    "login --service-principal -u id -p secret --tenant t",
    "extension add -n ml -y",
    "extension add --source https://x.test/ml-0.0.1-py3-none-any.whl --pip-extra-index-urls https://x.test --yes",
    "extension remove -n ml",
    "group wait --name rg --exists",
    "group update -n rg --set tags.a=b",
    "deployment sub create -l eastus -f main.json -p a=b -p @more.json",
    "deployment operation group list -g rg -n main",
    "deployment group wait -g rg -n main --created --interval 5 --timeout 60",
    "resource list --resource-type Microsoft.MachineLearningServices/workspaces --tag a=b",
    "resource show -g rg -n ws --resource-type Microsoft.MachineLearningServices/workspaces",
    "resource update --ids /subscriptions/s/resourceGroups/rg --set tags.a=b",
    "resource tag --ids /a /b --tags a=b -i",
    "provider register -n Microsoft.MachineLearningServices --wait",
    "tag update --resource-id /a --operation merge --tags a=b",
    "ad signed-in-user show --query id -o tsv",
    "configure -l --query \"[?name=='workspace'].value\" -o tsv",
    "rest -m post -u /subscriptions --body @body.json --headers a=b",
]


def everything() -> list[parser.Command]:
    """All commands of the grammar."""
    found = []
    for area in ("core", "ml"):
        for group in grammar.groups(area):
            found += [
                parser.Command(area, name, options) for name, options in (grammar.load(area, group) or {}).items()
            ]
    return found


def parsed(line: str, folder: Path) -> dict[str, object]:
    """Parse a line and return its options."""
    command, _, rest = parser.find(shlex.split(line))
    assert command is not None
    return vars(parser.parse(command, rest, Configuration(str(folder))))


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_samples_parses(line: str, tmp_path: Path) -> None:
    assert parsed(line, tmp_path)


def test_the_grammar_has_all_commands_of_az_ml_and_our_additions() -> None:
    names = {command.name for command in everything() if command.area == "ml"}
    ours = {"component share", "component download", "data download", "environment download", "registry who-can",
            "deployment-template delete"}  # fmt: skip
    assert len(names) == 171 + len(ours)


@pytest.mark.parametrize("command", everything(), ids=lambda command: command.words)
def test_every_command_parses_with_what_it_requires_and_refuses_less(command: parser.Command, tmp_path: Path) -> None:
    words: list[str] = []
    required = []
    for names, *special in command.options:
        rules = special[0] if special else {}
        if rules.get("required"):
            words += [names[-1], "x"]
            required.append(names[0])
        elif names[0] in ("--resource-group", "--workspace-name"):
            words += [names[0], "x"]
    assert parser.parse(command, words, Configuration(str(tmp_path))).help is False
    if required:
        with pytest.raises(UsageFailure) as refusal:
            parser.parse(command, [], Configuration(str(tmp_path)))
        assert all(name in str(refusal.value) for name in required)
        assert refusal.value.usage.startswith(f"usage: entrepot {command.words.split()[0]}")


@pytest.mark.parametrize("command", everything(), ids=lambda command: command.words)
def test_every_command_has_help_with_a_sentence_for_each_option(command: parser.Command) -> None:
    page = command_help(command)
    for names, *special in command.options:
        line = next(line for line in page.splitlines() if line.split()[: len(names)] == names)
        assert line
        if special and special[0].get("required"):
            assert "[Required]" in page
    assert "Global arguments" in page


@pytest.mark.parametrize("prefix", ["", "ml", "ml workspace outbound-rule", *(f"ml {g}" for g in grammar.groups("ml"))])
def test_every_group_has_help(prefix: str) -> None:
    assert "usage: entrepot" in group_help(prefix)


def test_handlers_are_functions_of_their_modules_and_commands_of_the_grammar() -> None:
    known = {(command.name.split()[0], command.name.split()[-1]) for command in everything()}
    for group, text in handlers.MODULES.items():
        for verb in text.split()[1:]:
            assert (group, verb) in known, f"{group} {verb}"
    built = [command for command in everything() if handlers.handler_of(command) is not None]
    assert len(built) > 60


def test_an_abbreviation_is_understood_and_an_ambiguous_one_is_not(tmp_path: Path) -> None:
    assert parsed(f"ml online-deployment show --endpoint e -n blue {SCOPE}", tmp_path)["endpoint_name"] == "e"
    with pytest.raises(UsageFailure, match="--ver"):
        parsed(f"ml model show -n m --ver 1 {SCOPE}", tmp_path)


def test_an_exact_name_wins_over_a_longer_one(tmp_path: Path) -> None:
    options = parsed(f"ml batch-endpoint invoke -n e --input x --inputs y {SCOPE}", tmp_path)
    assert (options["input"], options["inputs"], options["input_type"]) == ("x", "y", None)


def test_set_may_be_repeated_and_take_many_words(tmp_path: Path) -> None:
    options = parsed(f"ml job create -f j.yml --set a=1 b=2 --set c=3 {SCOPE}", tmp_path)
    assert options["set"] == ["a=1", "b=2", "c=3"]


def test_update_keeps_the_order_of_its_changes(tmp_path: Path) -> None:
    options = parsed(f"ml model update -n m -v 1 --set a=1 --remove b --add c d=1 --set e=2 f=3 {SCOPE}", tmp_path)
    assert options["ordered"] == [("set", ["a=1"]), ("remove", ["b"]), ("add", ["c", "d=1"]), ("set", ["e=2", "f=3"])]


def test_a_registry_replaces_group_and_workspace(tmp_path: Path) -> None:
    assert parsed("ml model show -n m -v 1 --registry-name r", tmp_path)["registry_name"] == "r"
    with pytest.raises(UsageFailure, match="--resource-group/-g, --workspace-name/-w") as refusal:
        parsed("ml model show -n m -v 1", tmp_path)
    assert "--registry-name" in refusal.value.hint


def test_defaults_fill_in_and_the_line_goes_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Configuration(str(tmp_path)).save("defaults", {"group": "g", "workspace": "w", "location": "eastus"})
    options = parsed("ml model show -n m -v 1", tmp_path)
    assert (options["resource_group"], options["workspace_name"]) == ("g", "w")
    assert parsed("ml model show -n m -v 1 -w other", tmp_path)["workspace_name"] == "other"
    assert parsed("ml workspace create -n dev", tmp_path)["location"] == "eastus"
    monkeypatch.setenv("AZURE_DEFAULTS_WORKSPACE", "from-environment")
    assert parsed("ml model show -n m -v 1", tmp_path)["workspace_name"] == "from-environment"


def test_a_default_registry_serves_where_no_workspace_is_named(tmp_path: Path) -> None:
    configuration = Configuration(str(tmp_path))
    configuration.save("defaults", {"registry": "contoso", "group": "g"})
    assert parsed("ml model show -n m -v 1", tmp_path)["registry_name"] == "contoso"
    assert parsed("ml model show -n m -v 1 -w ws", tmp_path)["registry_name"] is None
    assert parsed("ml model share -n m -v 1 -w ws", tmp_path)["registry_name"] == "contoso"
    configuration.save("defaults", {"workspace": "w"})
    assert parsed("ml model show -n m -v 1", tmp_path)["registry_name"] is None


def test_a_value_may_stand_in_a_file_and_a_missing_file_is_a_plain_value(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text('{"a": 1}\n')
    words = [f"@{file}", f"x=@{file}", "@absent", "a@b", "e=azureml:e@latest"]
    assert parser.expand_files(words) == ['{"a": 1}', 'x={"a": 1}', "@absent", "a@b", "e=azureml:e@latest"]


def test_a_misspelled_word_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UsageFailure, match="'shwo'") as refusal:
        parser.find(["ml", "model", "shwo"])
    assert "show" in refusal.value.hint
    with pytest.raises(UsageFailure, match="'modle'") as refusal:
        parser.find(["ml", "modle", "show"])
    assert "model" in refusal.value.hint


def test_a_command_names_each_option_once_and_only_with_rules_that_the_parser_reads() -> None:
    for command in everything():
        names = [name for option in command.options for name in option[0]]
        assert len(names) == len(set(names)), command.words
        for option in command.options:
            rules = option[1] if len(option) > 1 else {}
            assert set(rules) <= {"required", "flag", "nargs", "default", "choices", "configured", "const"}

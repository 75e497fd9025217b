"""`flask rmq export` and `apply`: the file, its references, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli import references, yaml_text
from tests.api.client import ROOT, Gunicorn
from tests.cli.shell import Shell

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["no", "12:30", "0o7", "1_000", "1e3", "", "~", "null", "<<", "=", "a\nb\n", " a\n", "${env:X}", "$${env:X}",
     "$$${file:a}", "${", "2127-01-31T12:00:00Z", "0x1F", "-1", ".5", "+1", "\u0085", "on"]
)  # fmt: skip
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where to write a configuration."""
    return tmp_path / "rmq.yaml"


@given(DOCUMENTS)
def test_every_document_is_read_as_it_was_written(content: object) -> None:
    assert yaml_text.read(yaml_text.written(content)) == content
    assert yaml.safe_load(yaml_text.written(content)) == content  # by other programs, too
    assert references.resolved(references.escaped(content), Path()) == content


@given(DOCUMENTS)
def test_every_json_document_is_read(content: object) -> None:
    assert yaml_text.read(json.dumps(content)) == json.loads(json.dumps(content))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("queues: [\n- a", ["line 2"]),
        ("queues: []\nqueues: []", ["line 2", "'queues' occurs twice"]),
        ("a: !!python/object:os.system x", ["not valid YAML"]),
        ("- a", ["must be a mapping"]),
        ("queues: [{queueName: '${env:NOT_SET}'}]", ["NOT_SET is not set"]),
        ("queues: [{queueName: '${file:none}'}]", ["The file none cannot be read"]),
        ("queues: [{queueName: a, maxLenght: 1}]", ["configuration.queues.0.maxLenght"]),
    ],
)
def test_a_wrong_file_is_a_sentence(shell: Shell, file: Path, text: str, words: list[str]) -> None:
    file.write_text(text)
    said = shell.fails(1, "apply", "-f", str(file))
    for word in words:
        assert word in said


def test_a_file_makes_what_it_lists_and_its_plan_is_printed(
    shell: Shell, file: Path, unique_name: str, remote: Gunicorn, token: str
) -> None:
    name = unique_name[-30:]
    file.write_text(f"""
consumers:
  - name: {name}
    queueName: {name}
    url: http://127.0.0.1:9/${{env:WHERE}}
    auth: {{type: bearer, token: '${{file:secrets/token}}'}}
queues:
  - {{queueName: {name}, maxLength: 5}}
apiKeys:
  - {{name: {name}, role: viewer}}
users:
""")
    (file.parent / "secrets").mkdir()
    (file.parent / "secrets" / "token").write_text("of-a-file\n")
    shell.environment["WHERE"] = "here"

    planned = shell.done("apply", "-f", str(file), "--dry-run")
    assert f"+ queue {name}\n    queueName: {name}\n    maxLength: 5\n" in planned
    assert "url: http://127.0.0.1:9/here" in planned
    assert "of-a-file" not in planned
    assert "3 create planned" in planned

    made = shell.done("apply", "-f", str(file))
    assert "All steps were carried out. 3 create done" in made
    key = made.partition("key (never shown again): ")[2].partition("\n")[0]
    assert remote.call("GET", "/getQueues", key).status_code == 200
    assert "already has this configuration" in shell.done("apply", "-f", str(file))

    file.write_text(file.read_text().replace("maxLength: 5", "maxLength: 6").replace("${env:WHERE}", "there"))
    changed = shell.run("apply", "-f", str(file))
    assert changed.exit_code == 1
    assert "url: http://127.0.0.1:9/here → http://127.0.0.1:9/there" in changed.stdout
    assert "blocked: RabbitMQ cannot change maxLength" in changed.stdout
    assert "1 of 2 steps was blocked or failed." in changed.stderr


def test_an_export_can_be_applied_and_changes_nothing(shell: Shell, file: Path, unique_name: str) -> None:
    name = unique_name[-30:]
    payload = json.dumps({"template": "${env:HOME} $${env:HOME}\nno\n"})
    shell.done(
        "consumers", "create", name, "--url", f"http://127.0.0.1:9/{name}", "--header", "X-A=a", "--payload", payload
    )  # fmt: skip
    exported = shell.done("export")
    file.write_text(exported)
    assert "already has this configuration" in shell.done("apply", "-f", str(file))
    assert shell.json("apply", "-f", str(file))["steps"] == []
    assert "already has" in shell.done("apply", "-f", "-", typed=shell.done("export", "--json"))
    [consumer] = [one for one in yaml.safe_load(exported)["consumers"] if one["name"] == name]
    assert consumer["headers"] == {"X-A": "**********"}


def test_the_file_of_the_documentation_is_a_plan_without_obstacles(shell: Shell, file: Path) -> None:
    page = (ROOT / "docs" / "CONFIGURATION_AS_CODE.md").read_text()
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    (file.parent / "secrets").mkdir()
    (file.parent / "secrets" / "orders-erp").write_text("whsec_" + "QUJD" * 10)
    shell.environment |= {"ERP_TOKEN": "token", "ALICE_PASSWORD": "a password of alice"}
    steps = shell.json("apply", "-f", str(file), "--dry-run")["steps"]
    assert {step["state"] for step in steps} == {"planned"}, steps
    assert len(steps) == 7


def test_prune_deletes_what_the_file_no_longer_lists(shell: Shell, file: Path, unique_name: str) -> None:
    name = unique_name[-30:]
    file.write_text(f"label: {name}\nqueues: [{{queueName: {name}}}]\n")
    shell.done("apply", "-f", str(file))
    assert yaml.safe_load(shell.done("export", "--label", name)) == {"label": name, "queues": [{"queueName": name}]}
    file.write_text(f"label: {name}\n")
    assert f"- queue {name}\n" in shell.done("apply", "-f", str(file), "--prune")

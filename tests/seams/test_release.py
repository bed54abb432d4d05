"""The workflows of CI and of a release: what is published, and what is made sure of before."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from conftest import pytest_collection_modifyitems
from harness.processes import ROOT, run

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS: Final = ROOT / ".github" / "workflows"
CI: Final = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())["jobs"]
RELEASE: Final = yaml.safe_load((WORKFLOWS / "release.yml").read_text())["jobs"]
STEPS: Final[list[tuple[str, dict[str, Any]]]] = [
    (name, step) for name, job in [*CI.items(), *RELEASE.items()] for step in job.get("steps", ())
]

UPLOAD: Final = "actions/upload-artifact"


def of(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """Give the arguments of a job's steps that use an action."""
    steps = [step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]
    return [step.get("with", {}) for step in steps]


def test_each_action_is_pinned_by_the_hash_of_its_commit() -> None:
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


def test_what_is_published_comes_from_the_job_that_only_builds() -> None:
    given = {(name, each["name"]) for name, job in CI.items() for each in of(job, UPLOAD)}
    assert given == {("build", "dist"), ("build", "sbom"), ("docs", "github-pages")}
    assert [step["run"] for step in CI["build"]["steps"] if "run" in step] == ["make build sbom"]
    assert "container" not in CI["build"]
    assert "container" not in CI["docs"]


def test_what_builds_and_lists_takes_wheels_with_locked_hashes_alone() -> None:
    told = run("make", "--always-make", "--dry-run", "build", "sbom", "docs-site").stdout
    installs = re.findall(r"^(\S+) -m pip install (.*)", told, re.MULTILINE)
    assert {(python, words.rpartition(" ")[2]) for python, words in installs} == {
        (f".release/{name}/bin/python", f"requirements-{name}.lock")
        for name in ("build", "sbom", "docs")
    }
    assert all("--require-hashes --only-binary :all: " in words for _, words in installs)
    assert ".release/build/bin/hatchling build\n" in told


def test_a_release_waits_for_all_of_ci_and_that_for_the_tag_to_be_on_main() -> None:
    assert CI["gate"]["needs"] == [name for name in CI if name != "gate"]
    assert CI["gate"]["steps"][0]["run"] == f'test "$RESULTS" = "{" ".join(["success"] * 5)}"'
    assert RELEASE["ci"]["needs"] == "main"
    assert RELEASE["tag"]["needs"] == "ci"
    assert all(RELEASE[name]["needs"] == "tag" for name in ("pypi", "platform", "docs"))
    assert RELEASE["image"]["needs"] == "platform"


@pytest.mark.parametrize(("branch", "status"), [("main", 0), ("elsewhere", 1)])
def test_a_tag_that_is_not_on_main_ends_the_release(
    tmp_path: Path, branch: str, status: int
) -> None:
    (checkout,) = of(RELEASE["main"], "actions/checkout")
    assert checkout["fetch-depth"] == 0  # Else there is no origin/main to be on.

    def git(where: str, *words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        ended = run("git", "-C", str(tmp_path / where), *who, *words)
        assert ended.returncode == 0, ended.stderr

    git(".", "init", "--quiet", "--initial-branch=main", "origin")
    git("origin", "commit", "--quiet", "--allow-empty", "--message=one")
    git("origin", "switch", "--quiet", "--force-create", branch)
    git("origin", "commit", "--quiet", "--allow-empty", "--message=two")
    git("origin", "tag", "--annotate", "v1.2.3", "--message=three")
    git("origin", "switch", "--quiet", "main")
    git("origin", "commit", "--quiet", "--allow-empty", "--message=four")
    git(".", "clone", "--quiet", "origin", "checkout")
    git("checkout", "checkout", "--quiet", "v1.2.3")
    (script,) = [step["run"] for step in RELEASE["main"]["steps"] if "run" in step]
    inside = f"cd {tmp_path}/checkout; {script}"
    assert run("bash", "-ec", inside).returncode == status


def test_the_readme_claims_of_macos_what_ci_runs_there() -> None:
    assert CI["macos"]["runs-on"].startswith("macos-")
    install, tests, demo = (step["run"] for step in CI["macos"]["steps"] if "run" in step)
    assert install == "make install"
    _, _, paths = tests.partition('-m pytest -m "not server" ')
    assert [path for path in paths.split() if not (ROOT / path).exists()] == []
    assert demo.startswith(".venv/bin/domination demo --humans ")
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "On macOS, CI only runs the demo and the tests that need no server." in readme


class Item:
    """A test as pytest has collected it."""

    def __init__(self, *fixtures: str) -> None:
        self.fixturenames = fixtures
        self.marks: list[str] = []

    def add_marker(self, mark: str) -> None:
        self.marks.append(mark)


@pytest.mark.parametrize(
    ("fixtures", "marks"),
    [
        (("bootstrap_servers", "pipeline"), ["server"]),
        (("clickhouse_server", "database", "stored"), ["server"]),
        (("request", "site"), ["server"]),
        (("tmp_path",), []),
    ],
)
def test_a_test_that_a_server_is_started_for_is_marked(
    fixtures: tuple[str, ...], marks: list[str]
) -> None:
    item = Item(*fixtures)
    pytest_collection_modifyitems([item])  # type: ignore[list-item]  # it is like one
    assert item.marks == marks


def test_the_image_is_built_and_tried_on_a_machine_of_each_platform() -> None:
    built = RELEASE["platform"]["strategy"]["matrix"]["include"]
    assert {each["arch"]: each["runner"] for each in built} == {
        "amd64": "ubuntu-24.04",
        "arm64": "ubuntu-24.04-arm",
    }
    assert CI["image"]["strategy"]["matrix"]["runner"] == [each["runner"] for each in built]
    for job in (CI["image"], RELEASE["platform"]):
        assert job["runs-on"] == "${{ matrix.runner }}"


# It says what it was called with, and gives a manifest.
DOCKER: Final = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in *--raw*) printf manifest ;; esac
"""


def test_the_platforms_become_one_image_whose_digest_is_attested(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    calls, output = tmp_path / "calls", tmp_path / "output"
    (push,) = [step for step in RELEASE["image"]["steps"] if step.get("id") == "push"]
    ended = run(
        *("bash", "-eo", "pipefail", "-c", push["run"]),
        environment={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "GITHUB_OUTPUT": str(output),
            "REPOSITORY": "Some/Where",
            "ACTOR": "who",
            "TOKEN": "token",
            "TAG": "v1.2.3",
        },
    )
    assert ended.returncode == 0, ended.stderr
    assert push["shell"] == "bash"  # GitHub then sets pipefail.
    image = "ghcr.io/some/where"
    made = f"buildx imagetools create --tag {image}:1.2.3 {image}:1.2.3-amd64 {image}:1.2.3-arm64"
    assert made in calls.read_text().splitlines()
    digest = hashlib.sha256(b"manifest").hexdigest()
    assert output.read_text().splitlines() == [f"image={image}", f"digest=sha256:{digest}"]
    (attested,) = of(RELEASE["image"], "actions/attest-build-provenance")
    assert attested["subject-digest"] == "${{ steps.push.outputs.digest }}"


def test_the_sbom_lies_beside_the_wheel_and_the_image() -> None:
    for name, subject in {"page": "subject-path", "image": "subject-digest"}.items():
        assert {"name": "sbom"} in of(RELEASE[name], "actions/download-artifact")
        (attested,) = of(RELEASE[name], "actions/attest")
        assert attested["sbom-path"] == "domination.cdx.json"
        assert attested[subject]
    (page,) = [step["run"] for step in RELEASE["page"]["steps"] if "run" in step]
    assert page.endswith(" dist/* domination.cdx.json")


def test_the_site_is_built_with_warnings_as_errors_and_published_as_it_was_built() -> None:
    assert "mkdocs build --strict\n" in run("make", "--dry-run", "docs-site").stdout
    build, pack = (step["run"] for step in CI["docs"]["steps"] if "run" in step)
    assert (build, pack) == (
        "make docs-site",
        "tar --create --file artifact.tar --directory site .",
    )
    assert [each["path"] for each in of(CI["docs"], UPLOAD)] == ["artifact.tar"]
    assert len(of(RELEASE["docs"], "actions/deploy-pages")) == 1

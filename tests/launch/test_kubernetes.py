"""Manifests are what Kubernetes' own schemas take, strictly; wrong ones are not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from launch import kubernetes, tpu
from launch.command import Refused
from launch.kubernetes import Request

TRAIN = ["train", "cnn_fashion_mnist", "--steps", "10"]
GPU = Request("registry/image:1", nodes=4, gpus=8, claim="runs", environment={"A": "1"})
TPU = Request(
    "i",
    nodes=4,
    tpu_accelerator="tpu-v5-lite-podslice",
    tpu_topology="4x4",
    claim="runs",
    jobset=True,
)


def validate(manifest: dict[str, Any]) -> None:
    library = pytest.importorskip("kubernetes_validate")
    library.validate(manifest, library.latest_version(), strict=True)


def job_of(jobset: dict[str, Any]) -> dict[str, Any]:
    """The Job that a JobSet makes: its schema is Kubernetes' own."""
    (replicated,) = jobset["spec"]["replicatedJobs"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        **replicated["template"],
    }


@pytest.mark.slow
def test_an_indexed_job_and_its_service_are_valid() -> None:
    service, job = kubernetes.manifests(TRAIN, GPU)
    validate(service)
    validate(job)
    assert list(yaml.safe_load_all(kubernetes.text([service, job]))) == [service, job]
    pod = job["spec"]["template"]["spec"]
    # The name under which the first rank is found: pod NAME-0 in the Service's subdomain.
    assert pod["subdomain"] == service["metadata"]["name"] == "cnn-fashion-mnist"
    environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert environment["DLCORE_COORDINATOR"] == "cnn-fashion-mnist-0.cnn-fashion-mnist:8476"
    assert (environment["DLCORE_PROCESSES"], job["spec"]["completions"]) == ("4", 4)
    assert pod["containers"][0]["command"][-3:] == [
        "--out",
        "/runs/cnn-fashion-mnist",
        "--continue-run",
    ]


@pytest.mark.slow
def test_a_trial_of_a_sweep_has_its_own_name_and_folder() -> None:
    words = [*TRAIN, "--out", "/runs/lr/001", "--continue-run"]
    _, job = kubernetes.manifests(words, dataclasses.replace(GPU, name="Trial 001"))
    validate(job)
    assert job["metadata"]["name"] == "trial-001"
    assert job["spec"]["template"]["spec"]["containers"][0]["command"][-3:] == [
        "--out",
        "/runs/lr/001",
        "--continue-run",
    ]


def test_a_jobset_for_a_tpu_slice_is_valid() -> None:
    (jobset,) = kubernetes.manifests(TRAIN, TPU)
    validate(job_of(jobset))
    assert set(jobset["spec"]) == {"network", "failurePolicy", "replicatedJobs"}
    assert jobset["spec"]["failurePolicy"] == {"maxRestarts": 100}
    assert jobset["spec"]["network"] == {
        "enableDNSHostnames": True,
        "subdomain": "cnn-fashion-mnist",
    }
    limits = job_of(jobset)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"google.com/tpu": "4"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "completions"), "four"),
        (("spec", "completionsMode"), "Indexed"),
        (("spec", "template", "spec", "containers", 0, "image"), 5),
        (("spec", "template", "spec", "containers", 0, "comand"), ["x"]),
        (("spec", "template", "spec", "volumes", 0, "name"), 3),
    ],
)
def test_a_wrong_manifest_is_rejected(path: tuple[Any, ...], value: Any) -> None:
    library = pytest.importorskip("kubernetes_validate")
    _, job = kubernetes.manifests(TRAIN, GPU)
    place = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(library.ValidationError):
        validate(job)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Request("i", claim="c", nodes=0), "must be at least 1"),
        (Request("i", claim="c", gpus=1, tpu_topology="4x4"), "exclude each other"),
        (Request("i", claim="c", tpu_topology="4x4"), "needs both"),
        (Request("i"), "--claim is needed"),
        (Request("i", claim="c", gpus=-1), "--gpus -1 is too small"),
        (Request("i", claim="c", restarts=-1), "--restarts -1 is too small"),
        (Request("i", claim="c", tpu_chips=0), "--tpu-chips 0 is too small"),
    ],
)
def test_what_cannot_be_launched_is_refused(request_: Request, why: str) -> None:
    with pytest.raises(Refused, match=why):
        kubernetes.manifests(TRAIN, request_)


def test_tpu_commands_make_the_slice_and_train_on_every_worker() -> None:
    request = tpu.Request("v5litepod-16", "us-a", folder="/bucket/runs", queued=True)
    make, install, train = tpu.commands(TRAIN, request)
    assert make[3:6] == ["queued-resources", "create", "cnn-fashion-mnist"]
    assert "--worker=all" in install
    assert (
        train[-1]
        == "--command=env DLCORE_COORDINATOR=auto python3 -m dlcore train cnn_fashion_mnist --steps"
        " 10 --out /bucket/runs/cnn-fashion-mnist --continue-run"
    )
    with pytest.raises(Refused, match="a path that every worker sees"):
        tpu.commands(TRAIN, tpu.Request("v5litepod-16", "us-a"))
    with pytest.raises(Refused, match=r"--zone .* is not valid in gcloud"):
        tpu.script(TRAIN, dataclasses.replace(request, zone="a\ntouch /tmp/x"))

"""Runs on Kubernetes: an Indexed Job with a Service, or a JobSet; not tested on a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from launch.command import Refused, at_least, job_name, restartable

PORT = 8476
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(frozen=True)
class Request:
    """The requested resources.

    Attributes:
        image: of the container.
        nodes: number of pods, one process each.
        gpus: GPUs of each node.
        tpu_accelerator, tpu_topology: GKE's labels of a TPU slice, such as tpu-v5-lite-podslice and
            4x4; "": no TPU.
        tpu_chips: chips of each node of the slice.
        claim: a PersistentVolumeClaim that all pods share; it is mounted at /runs.
        name: of the job; "": that of the experiment.
        namespace: "": the current one.
        environment: variables of every pod.
        jobset: make a JobSet in place of an Indexed Job and a Service.
        restarts: of the run, at most.
    """

    image: str
    nodes: int = 1
    gpus: int = 0
    tpu_accelerator: str = ""
    tpu_topology: str = ""
    tpu_chips: int = 4
    claim: str = ""
    name: str = ""
    namespace: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    jobset: bool = False
    restarts: int = 100


def manifests(command: Sequence[str], request: Request) -> list[dict[str, object]]:
    """Returns the objects to apply: every pod runs a command that resumes the run after a restart.

    Args:
        command: the command line of dlcore, such as ["train", "mlp_digits"].
        request: the requested resources.

    Raises:
        Refused: the command or a value is invalid.
    """
    at_least(1, nodes=request.nodes, tpu_chips=request.tpu_chips)
    at_least(0, gpus=request.gpus, restarts=request.restarts)
    if request.gpus and request.tpu_topology:
        raise Refused("--gpus and --tpu-topology exclude each other")
    if bool(request.tpu_topology) != bool(request.tpu_accelerator):
        raise Refused(
            "a TPU slice needs both --tpu-accelerator (as tpu-v5-lite-podslice) and --tpu-topology"
            " (as 4x4)"
        )
    if not request.claim:
        raise Refused(
            "--claim is needed: a volume that all pods share, or a restarted pod would find no"
            " checkpoint"
        )
    name = job_name(["train", request.name]) if request.name else job_name(command)
    words = ["python", "-m", "dlcore", *restartable(command, f"/runs/{name}")]
    meta = {"name": name, **({"namespace": request.namespace} if request.namespace else {})}
    if request.jobset:
        job = _job(f"{name}-workers-0-0.{name}", words, request, backoff=0)
        spec = {
            "network": {"enableDNSHostnames": True, "subdomain": name},
            "failurePolicy": {"maxRestarts": request.restarts},
            "replicatedJobs": [{"name": "workers", "replicas": 1, "template": {"spec": job}}],
        }
        return [
            {
                "apiVersion": "jobset.x-k8s.io/v1alpha2",
                "kind": "JobSet",
                "metadata": meta,
                "spec": spec,
            }
        ]
    # Ranks find each other before they are ready, and each rank by its own name.
    service: dict[str, object] = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"job-name": name},
        "ports": [{"name": "coordinator", "port": PORT}],
    }
    backoff = request.restarts * request.nodes
    job = _job(f"{name}-0.{name}", words, request, backoff, subdomain=name)
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": job},
    ]


def _job(
    coordinator: str, words: list[str], request: Request, backoff: int, subdomain: str = ""
) -> dict[str, object]:
    """The spec of an Indexed Job, with a pod for each node.

    Bad input (exit code 2) fails it at once; an eviction does not count as a failure.
    """
    environment: list[dict[str, object]] = [
        {"name": key, "value": value} for key, value in request.environment.items()
    ]
    if request.nodes > 1:
        environment += [
            {"name": "DLCORE_COORDINATOR", "value": f"{coordinator}:{PORT}"},
            {"name": "DLCORE_PROCESSES", "value": str(request.nodes)},
            {"name": "DLCORE_PROCESS_ID", "valueFrom": {"fieldRef": {"fieldPath": INDEX}}},
        ]
    devices = {"google.com/tpu": str(request.tpu_chips)} if request.tpu_topology else {}
    devices |= {"nvidia.com/gpu": str(request.gpus)} if request.gpus else {}
    container = {
        "name": "dlcore",
        "image": request.image,
        "command": words,
        "env": environment,
        "resources": {"limits": devices} if devices else {},
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
    }
    slice_of = {
        "cloud.google.com/gke-tpu-accelerator": request.tpu_accelerator,
        "cloud.google.com/gke-tpu-topology": request.tpu_topology,
    }
    pod: dict[str, object] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 120,  # time for the checkpoint after SIGTERM
        **({"nodeSelector": slice_of} if request.tpu_topology else {}),
        "containers": [container],
        "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": request.claim}}],
        **({"subdomain": subdomain} if subdomain else {}),
    }
    rules = [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "dlcore", "operator": "In", "values": [2]},
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    return {
        "completions": request.nodes,
        "parallelism": request.nodes,
        "completionMode": "Indexed",
        "backoffLimit": backoff,
        "podFailurePolicy": {"rules": rules},
        "template": {"spec": pod},
    }


def text(objects: Sequence[Mapping[str, object]]) -> str:
    """Returns the objects as YAML documents."""
    return yaml.safe_dump_all(objects, sort_keys=False)


def submit(written: str) -> int:
    """Applies the manifests by kubectl; returns its exit code. Raises Refused without kubectl."""
    try:
        return subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=written, text=True, check=False
        ).returncode
    except FileNotFoundError:
        raise Refused("kubectl is not installed: print the manifests with --dry-run") from None

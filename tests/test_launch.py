"""Launch files, as far as they run without a cluster."""

import os
import shlex
import subprocess

import yaml
from support.command_line import ROOT

LAUNCH = ROOT / "experiments" / "launch"
TRAIN = "taskaware train my.py --out runs/a --distributed --steps 5 --model.norm post".split()


def launched(name, *argv, stub, folder):
    """What a script runs by another program, which only tells its arguments, one a line."""
    (folder / stub).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / stub).chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    words = ["bash", LAUNCH / name, *argv, "my.py", "runs/a", *TRAIN[6:]]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout


def test_slurm_starts_the_command_on_every_node(tmp_path):
    assert launched("slurm.sh", stub="srun", folder=tmp_path).splitlines() == TRAIN


def test_a_tpu_s_hosts_are_sent_the_command_in_words_that_their_shell_gets_back(
    tmp_path,
):
    told = launched("tpu.sh", "pod", "zone-a", stub="gcloud", folder=tmp_path).splitlines()
    assert told[:-1] == "compute tpus tpu-vm ssh pod --zone zone-a --worker=all --command".split()
    assert shlex.split(told[-1]) == TRAIN


def test_kubernetes_tells_each_pod_who_it_is():
    service, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text())
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    env = {variable["name"]: variable for variable in container["env"]}
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(env["JAX_NUM_PROCESSES"]["value"])
    host, port = env["JAX_COORDINATOR_ADDRESS"]["value"].split(":")
    name, subdomain = job["metadata"]["name"], spec["template"]["spec"]["subdomain"]
    assert (host, service["metadata"]["name"]) == (f"{name}-0.{subdomain}", subdomain)
    assert service["spec"]["selector"] == {"job-name": name}
    assert port.isdigit()
    index = env["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert container["command"][:2] == TRAIN[:2]
    assert container["command"][-1] == "--distributed"
    (mount,) = container["volumeMounts"]
    assert container["workingDir"] == mount["mountPath"]

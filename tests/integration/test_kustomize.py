"""kubectl builds deploy/kubernetes, without any cluster."""

import shutil
import subprocess

import pytest
import yaml
from manifests import FOLDER, VERSIONS, check, kustomization

KUBECTL = shutil.which("kubectl")


@pytest.mark.skipif(KUBECTL is None, reason="not installed: kubectl")
def test_kubectl_builds_what_the_schemas_allow() -> None:
    """With images that have a version, and pods that name the generated ConfigMap."""
    assert KUBECTL is not None
    built = subprocess.run(
        [KUBECTL, "kustomize", FOLDER], capture_output=True, text=True, timeout=60, check=False
    )
    assert built.returncode == 0, built.stderr
    found = [*yaml.safe_load_all(built.stdout)]
    for document in found:
        for version in VERSIONS:
            check(document, version)
        assert kustomization()["namespace"] in (
            document["metadata"].get("namespace"),
            document["metadata"]["name"],
        )
    (config,) = [document["metadata"]["name"] for document in found if document["kind"] == "ConfigMap"]
    containers = [
        container
        for document in found
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    ]
    assert {container["image"] for container in containers} == {
        f"{image['name']}:{image['newTag']}" for image in kustomization()["images"]
    }
    for container in containers:
        assert container["envFrom"] == [{"configMapRef": {"name": config}}]

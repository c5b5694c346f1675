"""The manifests of deploy/kubernetes, read, and held against the schemas of Kubernetes and KEDA."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest Kubernetes that the README names, and the newest whose schemas are there."""


def read(path: Path) -> list[dict[str, Any]]:
    """Every document of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def kustomization() -> dict[str, Any]:
    (found,) = read(FOLDER / "kustomization.yaml")
    return found


def documents() -> list[dict[str, Any]]:
    """Every document that the kustomization applies."""
    return [document for name in kustomization()["resources"] for document in read(FOLDER / name)]


def check(document: dict[str, Any], version: str) -> None:
    """Hold one document against its schema, where no unknown field is allowed. Raises ValidationError."""
    if document["apiVersion"].startswith("keda.sh/"):
        jsonschema.validate(document, KEDA[document["kind"]])
    else:
        kubernetes_validate.validate(document, version, strict=True)


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = _object({"name": NAME}, namespace=NAME, labels={"type": "object"})
    return _object(
        {"apiVersion": {"const": "keda.sh/v1alpha1"}, "kind": {"const": kind}, "metadata": meta, "spec": spec}
    )


def _seconds(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


TEXT = {"type": "string"}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
COUNT = {"type": "integer", "minimum": 0}
SCALING_RULES = _object(
    {},
    stabilizationWindowSeconds=_seconds(0, 3600),
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "minItems": 1,
        "items": _object(
            {
                "type": {"enum": ["Pods", "Percent"]},
                "value": {"type": "integer", "minimum": 1},
                "periodSeconds": _seconds(1, 1800),
            }
        ),
    },
)
RABBITMQ = {
    "protocol": {"enum": ["auto", "http", "amqp"]},
    "mode": {"enum": ["QueueLength", "MessageRate"]},
    "queueName": {"type": "string", "minLength": 1},
    "value": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
}
KEDA = {
    "TriggerAuthentication": _resource(
        "TriggerAuthentication",
        _object(
            {
                "secretTargetRef": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object(
                        {"parameter": {"type": "string"}, "name": NAME, "key": {"type": "string"}}
                    ),
                }
            }
        ),
    ),
    "ScaledObject": _resource(
        "ScaledObject",
        _object(
            {
                "scaleTargetRef": _object({"name": NAME}),
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object(
                        {
                            "type": {"const": "rabbitmq"},
                            # Text, all of it: KEDA refuses a bare 1 or false.
                            "metadata": _object(
                                RABBITMQ,
                                excludeUnacknowledged={"enum": ["true", "false"]},
                                activationValue=RABBITMQ["value"],
                            ),
                        },
                        authenticationRef=_object({"name": NAME}),
                    ),
                },
            },
            minReplicaCount=COUNT,
            maxReplicaCount=COUNT,
            pollingInterval=COUNT,
            cooldownPeriod=COUNT,
            advanced=_object(
                {},
                horizontalPodAutoscalerConfig=_object(
                    {}, behavior=_object({}, scaleUp=SCALING_RULES, scaleDown=SCALING_RULES)
                ),
            ),
        ),
    ),
}
"""KEDA's kinds, as far as the manifests use them: a schema of our own, after KEDA's documentation
(keda.sh, "ScaledObject specification", "RabbitMQ Queue" and "Secret") and its CRDs in kedacore/keda."""

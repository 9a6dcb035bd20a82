"""Write the addresses of the pods to be scraped into a file, every five seconds, since Debian's Prometheus cannot ask.

Targets are the ports called `metrics` or `live` of running pods with stepmark's labels: hub, controller, and runs.
"""

import json
import ssl
import sys
import time
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PODS = "https://kubernetes.default.svc/api/v1/pods?fieldSelector=status.phase%3DRunning"
OURS = ("stepmark.dev/scenario-uid", "app.kubernetes.io/part-of")
PORTS = ("metrics", "live")


def pods():
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(urllib.request.Request(PODS, headers=headers), context=context, timeout=10) as answer:
        return json.load(answer)["items"]


def targets(found):
    for pod in found:
        labels, address = pod["metadata"].get("labels", {}), pod["status"].get("podIP")
        if address is None or not any(label in labels for label in OURS):
            continue
        where = {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}
        job = labels.get("app.kubernetes.io/component", "runs")
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", ()):
                if port.get("name") in PORTS:
                    target = f"{address}:{port['containerPort']}"
                    yield {"targets": [target], "labels": {**where, "job": job, "endpoint": port["name"]}}


def main(file):
    while True:
        try:
            new = file.with_suffix(".new")
            new.write_text(json.dumps(list(targets(pods()))))
            new.replace(file)
        except (OSError, ValueError, KeyError) as error:
            print(f"the pods could not be listed: {error}", file=sys.stderr, flush=True)
        time.sleep(5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

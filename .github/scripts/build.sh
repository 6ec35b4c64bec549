#!/usr/bin/env bash
# build.sh REPOSITORY SHA TARGET: build a target of docker/Dockerfile, with its bill of materials
# and its provenance, and push it to ECR by git sha. Prints `digest=sha256:...`; all else is on
# stderr. A sha that has been pushed is not built again: tags there never move.
set -euo pipefail
repository=$1 sha=$2 target=$3
registry=${repository%%/*}

digest_of() {
  aws ecr describe-images --repository-name "${repository#*/}" --image-ids "imageTag=$sha" \
    --query 'imageDetails[0].imageDigest' --output text 2>/dev/null || true
}

digest=$(digest_of)
if [[ $digest != sha256:* ]]; then
  aws ecr get-login-password | docker login --username AWS --password-stdin "$registry" >&2
  # Attestations need BuildKit in a container of its own; the built-in driver keeps none.
  docker buildx inspect release >/dev/null 2>&1 \
    || docker buildx create --name release --driver docker-container >&2
  docker buildx build --builder release --file docker/Dockerfile --target "$target" \
    --platform linux/amd64 --build-arg "REVISION=$sha" --provenance mode=max --sbom true \
    --tag "$repository:$sha" --push . >&2
  digest=$(digest_of)
fi
echo "digest=$digest"

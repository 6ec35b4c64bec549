#!/usr/bin/env bash
# notes.sh VERSION: print what CHANGELOG.md says of a version. Fails where it says nothing, or where
# pyproject.toml has another version: a release without notes tells nobody what changed.
set -euo pipefail
version=$1
stated=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -n 1)
if [[ $stated != "$version" ]]; then
  echo "pyproject.toml says $stated, the tag $version" >&2
  exit 1
fi
notes=$(awk -v version="$version" '
  /^## / { said = index($2, version) == 1 || index($2, "[" version "]") == 1; next }
  said { print }
' CHANGELOG.md)
if [[ -z ${notes//[$'\n ']/} ]]; then
  echo "CHANGELOG.md has no section ## $version" >&2
  exit 1
fi
echo "$notes"

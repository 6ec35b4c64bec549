#!/usr/bin/env bash
# Made once, with the cluster: a role and a database each, closed to the others.
set -euo pipefail
for name in airflow mlflow riskcast; do
    psql -v ON_ERROR_STOP=1 -U postgres -d postgres --quiet \
        -v name="$name" -v password="$(cat "/run/secrets/postgres-$name")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql -v ON_ERROR_STOP=1 -U postgres -d riskcast --quiet -c 'CREATE EXTENSION IF NOT EXISTS vector'

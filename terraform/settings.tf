# What each role is told: the one place where outputs of modules become RISKCAST_ settings.

locals {
  # MLflow's address follows from its name, so that nothing waits for the service to exist.
  mlflow_url = "http://mlflow.${var.name}.internal:5050"

  common_settings = merge(var.source_settings, {
    RISKCAST_LAKE   = "s3://${module.storage.buckets["lake"]}"
    RISKCAST_MLFLOW = local.mlflow_url
  })

  mail_settings = var.mail_identity_arn == "" ? {} : {
    RISKCAST_MAIL_BY   = "ses"
    RISKCAST_MAIL_FROM = var.mail_from
    RISKCAST_MAIL_TO   = join(",", sort(var.mail_to))
  }

  step_settings = merge(local.common_settings, local.mail_settings, {
    RISKCAST_DYNAMODB_TABLE = module.storage.predictions_table.name
    RISKCAST_CLOUDWATCH     = local.declared.metrics.namespace
  })

  # DAGs run no step themselves: they only have to know where steps run.
  dag_settings = merge(var.source_settings, local.mail_settings, {
    RISKCAST_LAKE                = "s3://${module.storage.buckets["lake"]}"
    RISKCAST_PLACE               = "ecs"
    RISKCAST_ECS_CLUSTER         = module.compute.cluster.name
    RISKCAST_ECS_TASK            = var.name
    RISKCAST_ECS_SUBNETS         = join(",", module.network.private_subnet_ids)
    RISKCAST_ECS_SECURITY_GROUPS = module.network.task_security_group_id
    RISKCAST_ECS_LOG_GROUP       = module.compute.log_group.name
  })

  database_login = {
    PGUSER     = "${module.database.password_secret_arn}:username::"
    PGPASSWORD = "${module.database.password_secret_arn}:password::"
  }
  # Names MLflow's clients and its server read; the secret is filled by a person.
  mlflow_login = {
    MLFLOW_TRACKING_USERNAME = "${aws_secretsmanager_secret.mlflow.arn}:username::"
    MLFLOW_TRACKING_PASSWORD = "${aws_secretsmanager_secret.mlflow.arn}:password::"
  }

  # The same login, as the server knows it; made at its first start.
  mlflow_admin = {
    MLFLOW_AUTH_ADMIN_USERNAME     = "${aws_secretsmanager_secret.mlflow.arn}:username::"
    MLFLOW_AUTH_ADMIN_PASSWORD     = "${aws_secretsmanager_secret.mlflow.arn}:password::"
    MLFLOW_FLASK_SERVER_SECRET_KEY = "${aws_secretsmanager_secret.mlflow.arn}:session::"
  }
  # Without a login: libpq reads PGUSER and PGPASSWORD itself, so that no file or command line
  # holds a secret.
  mlflow_database = "postgresql+psycopg://${module.database.host}:5432/${module.database.database}?sslmode=require"

  step_secrets = {
    registry = local.mlflow_login
    online   = { RISKCAST_REDIS = module.cache.url_secret_arn }
    vendors  = module.secrets.source_key_arns
  }

  services = merge(
    {
      mlflow = {
        image = local.images["mlflow"]
        command = ["sh", "-ec", <<-END
          umask 077
          cat > /tmp/basic_auth.ini <<'INI'
          [mlflow]
          default_permission = READ
          database_uri = ${local.mlflow_database}
          authorization_function = mlflow.server.auth:authenticate_request_basic_auth
          auth_cache_ttl_seconds = 60
          INI
          exec mlflow server --host 0.0.0.0 --port 5050 --workers 2 --app-name basic-auth
        END
        ]
        environment = {
          MLFLOW_AUTH_CONFIG_PATH            = "/tmp/basic_auth.ini"
          MLFLOW_BACKEND_STORE_URI           = local.mlflow_database
          MLFLOW_ARTIFACTS_DESTINATION       = "s3://${module.storage.buckets["artifacts"]}/mlflow"
          MLFLOW_SERVER_ALLOWED_HOSTS        = "mlflow.${var.domain},mlflow.${var.name}.internal:5050"
          MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false"
          MLFLOW_DISABLE_TELEMETRY           = "true"
        }
        port      = 5050
        host      = "mlflow"
        cpu       = 512
        memory    = 2048
        secrets   = merge(local.database_login, local.mlflow_admin)
        artifacts = true
      }
    },
    var.deployment != "weighted" ? {} : {
      rollout = {
        image   = local.images["runner"]
        command = ["riskcast", "rollout", "watch"]
        routes  = true
        reads   = ["*"]
        writes  = ["output/deployments", "output/rollouts"]
        secrets = local.mlflow_login
      }
    },
    length(var.dashboard_command) == 0 ? {} : {
      dashboard = {
        image   = local.images["dashboard"]
        command = var.dashboard_command
        port    = 8501
        host    = "dashboard"
        health  = "/_stcore/health"
        spot    = true
        idle    = true
        reads   = ["output", "published"]
        secrets = local.mlflow_login
      }
    },
  )
}

resource "aws_secretsmanager_secret" "mlflow" {
  # checkov:skip=CKV2_AWS_57:A user of MLflow, changed there and here by hand.
  name                    = "${var.name}/mlflow-login"
  description             = "JSON with username and password, which steps and servers show to MLflow, and session, which signs its cookies"
  kms_key_id              = module.secrets.data_key_arn
  recovery_window_in_days = var.production ? 30 : 0
  tags                    = local.tags
}

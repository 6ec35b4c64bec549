mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name                   = "riskcast-test"
  image                  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/riskcast-test/runner:0123abc"
  settings               = { RISKCAST_LAKE = "s3://lake" }
  lake_bucket_arn        = "arn:aws:s3:::lake"
  predictions_table_arn  = "arn:aws:dynamodb:us-east-1:123456789012:table/predictions"
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/a"
  repository_arn         = "arn:aws:ecr:us-east-1:123456789012:repository/runner"
  subnet_ids             = ["subnet-1"]
  task_security_group_id = "sg-1"
  home = {
    file_system_id   = "fs-1"
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
    access_point_id  = "fsap-1"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
  }
  secrets = { online = { RISKCAST_REDIS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:redis-a" } }
  tasks = {
    market_daily-features = {
      command  = ["riskcast", "run", "market_daily", "features"]
      size     = "small"
      reads    = ["silver/curated.market_daily"]
      writes   = ["gold/features_daily"]
      services = []
    }
    market_daily-materialise = {
      command  = ["riskcast", "run", "market_daily", "materialise"]
      size     = "large"
      reads    = ["published"]
      writes   = []
      services = ["online"]
    }
    rollback-rollback = {
      command  = ["riskcast", "run", "rollback", "rollback"]
      size     = "small"
      reads    = []
      writes   = ["output/rollouts"]
      services = ["registry", "traffic"]
    }
  }
  router = {
    settings = { RISKCAST_ROUTER = "alb" }
    rule_arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/a/1/2/3"
  }
}

run "a_step_has_its_own_role_and_only_its_secrets" {
  command = apply

  assert {
    condition     = aws_ecs_task_definition.this["market_daily-features"].task_role_arn != aws_ecs_task_definition.this["market_daily-materialise"].task_role_arn
    error_message = "Two steps share a role."
  }

  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.this["market_daily-features"].container_definitions)[0].secrets) == 0
    error_message = "A step is handed a secret it does not use."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["market_daily-materialise"].container_definitions)[0].secrets[0].name == "RISKCAST_REDIS"
    error_message = "The online store's address is missing."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["market_daily-materialise"].container_definitions)[0].user == "10001:10001"
    error_message = "Nothing runs as root."
  }

  assert {
    condition     = { for v in jsondecode(aws_ecs_task_definition.this["market_daily-materialise"].container_definitions)[0].environment : v.name => v.value }["RISKCAST_CORES"] == "4"
    error_message = "A large step is not told of its cores."
  }

  assert {
    condition     = [for name in ["market_daily-features", "rollback-rollback"] : contains([for v in jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].environment : v.name], "RISKCAST_ROUTER")] == [false, true]
    error_message = "Steps that move traffic, and no others, are told how."
  }

  assert {
    condition     = output.spark == null
    error_message = "Spark was not asked for."
  }
}

run "spark_stops_when_idle" {
  command = apply

  variables {
    spark = { cores = 8, memory_gib = 32 }
  }

  assert {
    condition     = aws_emrserverless_application.this[0].auto_stop_configuration[0].idle_timeout_minutes == 5
    error_message = "Idle Spark must stop."
  }
}

run "a_tag_that_moves_is_refused" {
  command = plan

  variables {
    image = "riskcast:latest"
  }

  expect_failures = [var.image]
}

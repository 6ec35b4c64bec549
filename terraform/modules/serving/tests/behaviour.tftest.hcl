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

  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-test" }
  }
}

variables {
  name                   = "riskcast-test"
  vpc_id                 = "vpc-1"
  public_subnet_ids      = ["subnet-1", "subnet-2"]
  private_subnet_ids     = ["subnet-3", "subnet-4"]
  task_security_group_id = "sg-1"
  cluster_arn            = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-test"
  domain                 = "risk.example.com"
  certificate_arn        = "arn:aws:acm:us-east-1:123456789012:certificate/a"
  api                    = { image = "repository/serving:0123abc" }
  settings               = { RISKCAST_LAKE = "s3://lake" }
  home = {
    file_system_id   = "fs-1"
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
    access_point_id  = "fsap-1"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
  }
  bucket_arns     = { lake = "arn:aws:s3:::lake", artifacts = "arn:aws:s3:::artifacts" }
  log_bucket      = "logs"
  repository_arns = ["arn:aws:ecr:us-east-1:123456789012:repository/serving"]
  data_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn     = "arn:aws:kms:us-east-1:123456789012:key/a"
  services = {
    mlflow = {
      image     = "repository/mlflow:0123abc"
      command   = ["mlflow", "server"]
      port      = 5050
      host      = "mlflow"
      artifacts = true
    }
    rollout = {
      image   = "repository/runner:0123abc"
      command = ["riskcast", "rollout", "watch"]
      routes  = true
    }
  }
}

run "blue_serves_first_and_green_waits" {
  command = apply

  assert {
    condition     = length(aws_ecs_service.api) == 2
    error_message = "Both colours must run."
  }

  assert {
    condition     = one([for group in aws_lb_listener_rule.api.action[0].forward[0].target_group : group.arn if group.weight == 100]) == aws_lb_target_group.this["blue"].arn
    error_message = "Blue must have all traffic at first."
  }

  assert {
    condition     = aws_lb_listener.https.default_action[0].type == "fixed-response"
    error_message = "Hosts nobody declared must answer 404."
  }
}

run "who_moves_or_answers_traffic_is_told_where_it_goes" {
  command = apply

  assert {
    condition     = alltrue([for name in ["rollout", "blue", "green"] : contains([for v in jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].environment : v.name], "RISKCAST_ALB_RULES")])
    error_message = "The rollout moves the weights, and a colour tells its streams of them: both know the rule."
  }

  assert {
    condition     = !contains([for v in jsondecode(aws_ecs_task_definition.this["mlflow"].container_definitions)[0].environment : v.name], "RISKCAST_ALB_RULES")
    error_message = "MLflow has no business with the load balancer."
  }
}

run "ecs_moves_traffic_itself" {
  command = apply

  variables {
    deployment = "native"
  }

  assert {
    condition     = length(aws_ecs_service.api) == 1 && aws_ecs_service.api["blue"].deployment_configuration[0].strategy == "BLUE_GREEN"
    error_message = "ECS must own the colours."
  }
}

run "a_host_without_a_login_is_refused" {
  command = plan

  variables {
    users = false
  }

  expect_failures = [aws_lb_listener_rule.hosted]
}

run "nothing_is_served_in_the_clear" {
  command = plan

  variables {
    certificate_arn = ""
  }

  expect_failures = [var.certificate_arn]
}

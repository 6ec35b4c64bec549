# Where steps run: one task definition and one role per step, so that a step can touch the tables it
# declares and nothing else.

data "aws_region" "this" {}

locals {
  home = "/var/lib/riskcast"
  # Library threads that spin starve each other.
  quiet = { OMP_WAIT_POLICY = "PASSIVE", PYTHONUNBUFFERED = "1" }
  # A step that moves traffic says so; without a router it fails by name.
  moves = { for name, task in var.tasks : name => contains(task.services, "traffic") && var.router != null }
  secrets = {
    for name, task in var.tasks : name => merge([for service in task.services : lookup(var.secrets, service, {})]...)
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = "enhanced"
  }

  configuration {
    execute_command_configuration {
      kms_key_id = var.log_key_arn
      logging    = "OVERRIDE"

      log_configuration {
        cloud_watch_encryption_enabled = true
        cloud_watch_log_group_name     = aws_cloudwatch_log_group.this.name
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:A year by default; envs/dev, which is thrown away, keeps a month.
  name              = "/${var.name}/steps"
  retention_in_days = var.log_days
  kms_key_id        = var.log_key_arn
  tags              = var.tags
}

resource "aws_ecs_task_definition" "this" {
  # checkov:skip=CKV_AWS_97:Transit encryption is on below; the rule does not see it inside a dynamic volume.
  for_each = var.tasks

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.sizes[each.value.size].cpu
  memory                   = var.sizes[each.value.size].memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = var.sizes[each.value.size].disk
  }

  # The image declares VOLUME /tmp, so that its permissions come with it.
  volume {
    name = "tmp"
  }

  volume {
    name = "home"

    efs_volume_configuration {
      file_system_id     = var.home.file_system_id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = var.home.access_point_id
        iam             = "ENABLED"
      }
    }
  }

  container_definitions = jsonencode([{
    name                   = "riskcast"
    image                  = var.image
    essential              = true
    command                = each.value.command
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = 120
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "home", containerPath = local.home, readOnly = false },
    ]
    environment = [
      for key, value in merge(local.quiet, var.settings, local.moves[each.key] ? var.router.settings : {}, {
        RISKCAST_HOME  = local.home
        RISKCAST_CORES = tostring(floor(var.sizes[each.value.size].cpu / 1024))
      }) : { name = key, value = value }
    ]
    secrets = [for key, arn in local.secrets[each.key] : { name = key, valueFrom = arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = data.aws_region.this.region
        "awslogs-stream-prefix" = "riskcast" # the prefix Airflow looks under
      }
    }
  }])
}

# Long-running containers: the two colours of the API, and the others of var.services.

locals {
  home = "/var/lib/riskcast"
  containers = merge(
    {
      for slot, port in local.colours : slot => {
        image       = var.api.image
        command     = ["python", "-m", "riskcast.serving"]
        port        = port
        cpu         = var.api.cpu
        memory      = var.api.memory
        environment = merge(local.router, { RISKCAST_SLOT = slot, RISKCAST_HOST = "0.0.0.0" })
        secrets     = var.api_secrets
        reads       = ["*"]
        writes      = []
        artifacts   = false
        routes      = false
        health      = "/health"
      }
    },
    var.services,
  )
  inside = { for name, container in local.containers : name => container.port }
  # What a service that moves traffic is told; given here, because only here the rule is known.
  # Whoever moves it asks each colour at its own address, never through the load balancer.
  router = {
    RISKCAST_BLUE_URL  = "http://blue.${var.name}.internal:8001"
    RISKCAST_GREEN_URL = "http://green.${var.name}.internal:8002"
    RISKCAST_ROUTER    = "alb"
    RISKCAST_ALB_RULES = "${var.product}=${aws_lb_listener_rule.api.arn}"
    RISKCAST_ALB_BLUE  = aws_lb_target_group.this["blue"].arn
    RISKCAST_ALB_GREEN = aws_lb_target_group.this["green"].arn
    RISKCAST_ALB_URL   = "https://${var.domain}"
  }
  quiet   = { OMP_WAIT_POLICY = "PASSIVE", OMP_NUM_THREADS = "1", PYTHONUNBUFFERED = "1", RISKCAST_HOME = local.home }
  secrets = distinct(flatten([for container in values(local.containers) : values(container.secrets)]))
}

# blue.<name>.internal and so on: how services find one another without leaving the VPC.
resource "aws_service_discovery_private_dns_namespace" "this" {
  name = "${var.name}.internal"
  vpc  = var.vpc_id
  tags = var.tags
}

resource "aws_service_discovery_service" "this" {
  for_each = { for name, port in local.inside : name => port if port != null }

  name = each.key
  tags = var.tags

  dns_config {
    namespace_id = aws_service_discovery_private_dns_namespace.this.id

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:A year by default; envs/dev, which is thrown away, keeps a month.
  for_each = local.containers

  name              = "/${var.name}/services/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.log_key_arn
  tags              = var.tags
}

resource "aws_ecs_task_definition" "this" {
  # checkov:skip=CKV_AWS_97:Transit encryption is on below.
  for_each = local.containers

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.service[each.key].arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

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
    image                  = each.value.image
    essential              = true
    command                = each.value.command
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = 30
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    portMappings           = each.value.port == null ? [] : [{ containerPort = each.value.port, hostPort = each.value.port, protocol = "tcp" }]
    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "home", containerPath = local.home, readOnly = false },
    ]
    environment = [
      for key, value in merge(local.quiet, var.settings, each.value.routes ? local.router : {}, each.value.environment) : { name = key, value = value }
    ]
    secrets = [for key, arn in each.value.secrets : { name = key, valueFrom = arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this[each.key].name
        "awslogs-region"        = data.aws_region.this.region
        "awslogs-stream-prefix" = each.key
      }
    }
  }])
}

resource "aws_ecs_service" "api" {
  for_each = local.colours

  name                              = "${var.name}-${each.key}"
  cluster                           = var.cluster_arn
  task_definition                   = aws_ecs_task_definition.this[each.key].arn
  desired_count                     = var.api.count
  launch_type                       = "FARGATE"
  health_check_grace_period_seconds = 120
  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"
  tags                              = var.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "deployment_configuration" {
    for_each = var.deployment == "native" ? [1] : []

    content {
      strategy             = "BLUE_GREEN"
      bake_time_in_minutes = "10"
    }
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this[each.key].arn
    container_name   = "riskcast"
    container_port   = each.value

    dynamic "advanced_configuration" {
      for_each = var.deployment == "native" ? [1] : []

      content {
        alternate_target_group_arn = aws_lb_target_group.this["green"].arn
        production_listener_rule   = aws_lb_listener_rule.api.arn
        role_arn                   = aws_iam_role.native[0].arn
      }
    }
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this[each.key].arn
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [var.task_security_group_id]
    assign_public_ip = false
  }

  # A deployment moves the idle colour to a new image; a plan must not move it back.
  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }

  depends_on = [aws_lb_listener_rule.api, aws_iam_role_policy.service]
}

resource "aws_ecs_service" "other" {
  for_each = var.services

  name                    = "${var.name}-${each.key}"
  cluster                 = var.cluster_arn
  task_definition         = aws_ecs_task_definition.this[each.key].arn
  desired_count           = each.value.count
  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"
  tags                    = var.tags
  # The rollout and MLflow must never run twice; a gap of seconds while they are replaced is fine.
  deployment_minimum_healthy_percent = each.value.host == "" || each.value.artifacts ? 0 : 100
  deployment_maximum_percent         = each.value.host == "" || each.value.artifacts ? 100 : 200

  capacity_provider_strategy {
    capacity_provider = each.value.spot ? "FARGATE_SPOT" : "FARGATE"
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "load_balancer" {
    for_each = each.value.host == "" ? [] : [1]

    content {
      target_group_arn = aws_lb_target_group.this[each.key].arn
      container_name   = "riskcast"
      container_port   = each.value.port
    }
  }

  dynamic "service_registries" {
    for_each = each.value.port == null ? [] : [1]

    content {
      registry_arn = aws_service_discovery_service.this[each.key].arn
    }
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [var.task_security_group_id]
    assign_public_ip = false
  }

  lifecycle {
    ignore_changes = [desired_count] # the idle hours move it
  }

  depends_on = [aws_lb_listener_rule.hosted, aws_iam_role_policy.service]
}

# ---- stopped while nobody looks

locals {
  idle = var.idle_hours == null ? {} : { for name, service in var.services : name => service if service.idle }
}

resource "aws_appautoscaling_target" "idle" {
  for_each = local.idle

  service_namespace  = "ecs"
  resource_id        = "service/${split("/", var.cluster_arn)[1]}/${aws_ecs_service.other[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 0
  max_capacity       = each.value.count
  tags               = var.tags
}

resource "aws_appautoscaling_scheduled_action" "idle" {
  for_each = merge([
    for name in keys(local.idle) : {
      "${name}-stop"  = { service = name, at = var.idle_hours.stop, count = 0 }
      "${name}-start" = { service = name, at = var.idle_hours.start, count = local.idle[name].count }
    }
  ]...)

  name               = "${var.name}-${each.key}"
  service_namespace  = aws_appautoscaling_target.idle[each.value.service].service_namespace
  resource_id        = aws_appautoscaling_target.idle[each.value.service].resource_id
  scalable_dimension = aws_appautoscaling_target.idle[each.value.service].scalable_dimension
  schedule           = each.value.at
  timezone           = var.idle_hours.timezone

  scalable_target_action {
    min_capacity = each.value.count
    max_capacity = each.value.count
  }
}

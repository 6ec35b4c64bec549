# Redis, the online store of Feast. What it holds can be written again from the lake, so one node
# without a backup is a fair choice for a start.

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-cache"
  description = "Redis from steps and services"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-cache" })
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  security_group_id            = aws_security_group.this.id
  description                  = "Redis from steps and services"
  referenced_security_group_id = var.task_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

# ElastiCache cannot be handed a token without the state seeing it: the state is encrypted, and
# only the role that deploys may read it. Letters and digits, because Feast takes no comma.
resource "random_password" "token" {
  length  = 64
  special = false
  keepers = { version = var.token_version }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:A year by default; envs/dev, which is thrown away, keeps a month.
  for_each = toset(["slow-log", "engine-log"])

  name              = "/${var.name}/redis/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.log_key_arn
  tags              = var.tags
}

resource "aws_elasticache_replication_group" "this" {
  # checkov:skip=CKV2_AWS_50:Automatic failover follows from the number of replicas, two nodes in envs/prod.
  replication_group_id       = var.name
  description                = "Online features of ${var.name}"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.node_type
  num_cache_clusters         = var.replicas + 1
  automatic_failover_enabled = var.replicas > 0
  multi_az_enabled           = var.replicas > 0
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this.id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.data_key_arn
  auth_token                 = random_password.token.result
  auth_token_update_strategy = "ROTATE"
  auto_minor_version_upgrade = true
  maintenance_window         = "sun:10:30-sun:11:30"
  snapshot_retention_limit   = var.replicas > 0 ? 1 : 0
  apply_immediately          = true
  tags                       = var.tags

  dynamic "log_delivery_configuration" {
    for_each = aws_cloudwatch_log_group.this

    content {
      destination      = log_delivery_configuration.value.name
      destination_type = "cloudwatch-logs"
      log_format       = "json"
      log_type         = log_delivery_configuration.key
    }
  }
}

# The whole of RISKCAST_REDIS, because the address carries the token.
resource "aws_secretsmanager_secret" "url" {
  # checkov:skip=CKV2_AWS_57:Rotated by raising token_version: the token lives in ElastiCache too.
  name                    = "${var.name}/redis-url"
  description             = "RISKCAST_REDIS"
  kms_key_id              = var.data_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id                = aws_secretsmanager_secret.url.id
  secret_string_wo         = "rediss://:${random_password.token.result}@${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0"
  secret_string_wo_version = var.token_version
}

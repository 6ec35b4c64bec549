# What is not an object: the mirror of forecasts, and the files tasks share.

# Keys as riskcast.online.mirror writes them.
resource "aws_dynamodb_table" "predictions" {
  name                        = "${var.name}-predictions"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "symbol"
  range_key                   = "date_slot"
  deletion_protection_enabled = !var.force_destroy
  tags                        = var.tags

  attribute {
    name = "symbol"
    type = "S"
  }

  attribute {
    name = "date_slot"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.data_key_arn
  }
}

# RISKCAST_HOME of every task: API keys, Feast's registry, the spool of answers. Some megabytes.
resource "aws_efs_file_system" "home" {
  encrypted        = true
  kms_key_id       = var.data_key_arn
  throughput_mode  = "elastic"
  performance_mode = "generalPurpose"
  tags             = merge(var.tags, { Name = "${var.name}-home" })
}

resource "aws_efs_backup_policy" "home" {
  file_system_id = aws_efs_file_system.home.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_security_group" "home" {
  name        = "${var.name}-home"
  description = "NFS from steps and services"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-home" })
}

resource "aws_vpc_security_group_ingress_rule" "home" {
  security_group_id            = aws_security_group.home.id
  description                  = "NFS from steps and services"
  referenced_security_group_id = var.task_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "home" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.home.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.home.id]
}

# Whoever mounts is this user, the one the images run as.
resource "aws_efs_access_point" "home" {
  file_system_id = aws_efs_file_system.home.id
  tags           = merge(var.tags, { Name = "${var.name}-home" })

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/riskcast"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0700"
    }
  }
}

data "aws_iam_policy_document" "home" {
  statement {
    sid       = "ThroughTheAccessPointOverTls"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    resources = [aws_efs_file_system.home.arn]

    principals {
      type        = "AWS"
      identifiers = [local.account]
    }

    condition {
      test     = "StringEquals"
      variable = "elasticfilesystem:AccessPointArn"
      values   = [aws_efs_access_point.home.arn]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["true"]
    }
  }
}

resource "aws_efs_file_system_policy" "home" {
  file_system_id = aws_efs_file_system.home.id
  policy         = data.aws_iam_policy_document.home.json
}

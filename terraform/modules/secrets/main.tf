# Keys of encryption and the places secrets are kept. The two keys part what holds data from what
# holds logs, so that somebody who may read logs may not read data.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  region  = data.aws_region.this.region
  root    = "arn:${data.aws_partition.this.partition}:iam::${local.account}:root"
}

data "aws_iam_policy_document" "data_key" {
  # checkov:skip=CKV_AWS_109:In a key policy "*" is the key itself; without the account's own statement nobody could mend the policy.
  # checkov:skip=CKV_AWS_111:See CKV_AWS_109.
  # checkov:skip=CKV_AWS_356:See CKV_AWS_109.
  statement {
    sid       = "AccountDecidesThroughIam"
    actions   = ["kms:*"] # the AWS default key policy: IAM policies of this account decide
    resources = ["*"]     # the key itself

    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }
}

data "aws_iam_policy_document" "log_key" {
  # checkov:skip=CKV_AWS_109:In a key policy "*" is the key itself; without the account's own statement nobody could mend the policy.
  # checkov:skip=CKV_AWS_111:See CKV_AWS_109.
  # checkov:skip=CKV_AWS_356:See CKV_AWS_109.
  source_policy_documents = [data.aws_iam_policy_document.data_key.json]

  statement {
    sid       = "LogGroupsOfThisAccount"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"] # with and without plaintext, from and to
    resources = ["*"]                                                                                       # the key itself

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.this.partition}:logs:${local.region}:${local.account}:log-group:*"]
    }
  }

  statement {
    sid       = "AlarmsEventsBudgetsAndTrailOfThisAccount"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"] # with and without plaintext
    resources = ["*"]                                                      # the key itself

    principals {
      type = "Service"
      identifiers = [
        "budgets.amazonaws.com",
        "cloudtrail.amazonaws.com",
        "cloudwatch.amazonaws.com",
        "events.amazonaws.com",
        "sns.amazonaws.com",
      ]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_kms_key" "data" {
  description             = "${var.name}: lake, database, online store, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.data_key.json
  tags                    = var.tags
}

resource "aws_kms_alias" "data" {
  name          = "alias/${var.name}-data"
  target_key_id = aws_kms_key.data.key_id
}

resource "aws_kms_key" "logs" {
  description             = "${var.name}: logs, alarms, audit trail"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.log_key.json
  tags                    = var.tags
}

resource "aws_kms_alias" "logs" {
  name          = "alias/${var.name}-logs"
  target_key_id = aws_kms_key.logs.key_id
}

resource "aws_secretsmanager_secret" "source_key" {
  # checkov:skip=CKV2_AWS_57:A vendor's key is changed by hand at the vendor; nothing can rotate it for us.
  for_each = var.source_keys

  name                    = "${var.name}/${lower(each.value)}"
  description             = "Value of ${each.value}; filled by a person, see README.md."
  kms_key_id              = aws_kms_key.data.arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

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

mock_provider "random" {}

variables {
  name                   = "riskcast-test"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  task_security_group_id = "sg-1"
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/a"
}

run "one_node_encrypted_and_with_a_token" {
  command = apply

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.auth_token != null
    error_message = "Redis must speak TLS and ask for a token."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled == false
    error_message = "One node has nothing to fail over to."
  }
}

run "a_replica_takes_over" {
  command = apply

  variables {
    replicas = 1
  }

  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 2 && aws_elasticache_replication_group.this.automatic_failover_enabled
    error_message = "The replica must take over."
  }
}

run "too_many_replicas_are_refused" {
  command = plan

  variables {
    replicas = 9
  }

  expect_failures = [var.replicas]
}

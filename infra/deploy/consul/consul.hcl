# What the mesh wants of Consul besides its defaults; the same as locally.

# A check's sentence is shown when it is said, not minutes later.
check_update_interval = "1s"

performance {
  raft_multiplier = 1
}

disable_update_check = true

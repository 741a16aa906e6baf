-- What a call takes of all of this.
return { get_attempt = get_attempt, dispatch = dispatch, occupy = occupy, free_backend = free_backend, standing = standing,
  remove = remove, slot_returns = slot_returns, mark_abandoned = mark_abandoned }

"""What forked processes have imported already: all that the roles import when they start."""

import features.agent
import features.store_feast
import infra.cli
import infra.exposition
import infra.logs
import infra.scorer_models
import infra.wiring
import learner.agent
import learner.drift_river
import learner.encoder
import learner.online
import serving.agent
import stream.agent
import stream.app
import stream.broadcast
import stream.publish

__all__ = ["features", "infra", "learner", "serving", "stream"]

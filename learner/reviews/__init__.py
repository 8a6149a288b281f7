"""What reviews say: sentiment and rating, read before they are learnt, in any language.

Read in this order: `readings` (what comes out), `ngrams` (texts as hashed n-grams), `linear`
(learnt weights of these), `shared` (one frozen encoder, one adapter per task), `tasks` (what
adapters learn), `ridge` (the encoder's vectors as they are), `biases` (users and items), `weighing`
(how much each of them counts), `deciding` (from probabilities to a sentiment), `memory` (what is
replayed), `reader` (all of it), `teaching` (whose label would teach most).
"""

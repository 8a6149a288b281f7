"""What Feast is told: users, and the features of each, written by the profile as events arrive.

The `feast` command takes this folder as a repository; Tidemill applies the same definitions itself
when it first opens the store. Field by field it is `features.store.UserFeatures`; the row's event
time is that struct's `updated_ms`.
"""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Bytes, Float32, Float64, Int64, String

user = Entity(
    name="user",
    join_keys=["user_id"],
    value_type=ValueType.STRING,
    description="A shopper, as the shop names them",
)

user_profile_source = PushSource(
    name="user_profile_push",
    description="Rows that the profile writes straight into the online store",
    batch_source=FileSource(
        name="user_profile_history",
        path="data/user_profile.parquet",
        timestamp_field="updated_at",
        description="Where a shop may keep past rows; Tidemill neither reads nor writes it",
    ),
)

user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    ttl=timedelta(0),
    source=user_profile_source,
    online=True,
    description="What is known of a user now",
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="last_event_id", dtype=String, description="the newest event counted in"),
        Field(name="recent_items", dtype=Array(String), description="oldest first, at most 50"),
        Field(name="recent_kinds", dtype=Array(String), description="view, click, cart, ..."),
        Field(name="recent_ts_ms", dtype=Array(Int64), description="milliseconds since the epoch"),
        Field(name="recent_ratings", dtype=Array(Float64), description="stars, 0 where unrated"),
        Field(name="seen", dtype=Bytes, description="4-byte codes of older items, newest last"),
        Field(name="short_vector", dtype=Array(Float32), description="what they look for now"),
        Field(name="long_vector", dtype=Array(Float32), description="what they usually look for"),
        Field(name="events", dtype=Int64),
        Field(name="views", dtype=Int64),
        Field(name="clicks", dtype=Int64),
        Field(name="carts", dtype=Int64),
        Field(name="purchases", dtype=Int64),
        Field(name="reviews", dtype=Int64),
        Field(name="top_category", dtype=String),
        Field(name="top_brand", dtype=String),
        Field(name="mean_price", dtype=Float64),
        Field(name="mean_rating", dtype=Float64, description="1 to 5 stars, 0 without any"),
        Field(name="mean_sentiment", dtype=Float64, description="-1 to 1"),
        Field(name="divergence", dtype=Float64, description="of short from long interest, 0 to 2"),
        Field(name="shifts", dtype=Int64, description="how often the interest moved"),
        Field(name="last_shift_ms", dtype=Int64),
        Field(name="last_shift_to", dtype=String, description="the category it moved to"),
        Field(
            name="words",
            dtype=String,
            description="the user in two or three sentences, made when their interest last moved",
        ),
    ],
)

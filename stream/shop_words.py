"""The words of the simulated shop: twenty shelves, their styles, brands and prices.

Each shelf has four styles, and a style's words stand in the titles of its items and in no other's:
two items of one style have similar texts, so a text encoder sees what a shopper sees.
"""

from __future__ import annotations

from typing import NamedTuple


class Shelf(NamedTuple):
    """One category of the shop, and what its items are made from."""

    slug: str
    path: tuple[str, str]
    accessory: str
    price: tuple[float, float]
    nouns: tuple[tuple[str, ...], ...]
    styles: tuple[tuple[str, ...], ...]
    details: tuple[str, ...]
    use: str

    @property
    def category(self) -> str:
        """The path as one text."""
        return " > ".join(self.path)


def _shelf(*words: str, price: tuple[float, float], use: str) -> Shelf:
    slug, path, accessory, nouns, styles, details = words
    department, name = path.split(" > ")
    cut_nouns, cut_styles = _cut(nouns), _cut(styles)
    return Shelf(
        slug,
        (department, name),
        accessory,
        price,
        cut_nouns if len(cut_nouns) > 1 else cut_nouns * len(cut_styles),
        cut_styles,
        _cut(details)[0],
        use,
    )


def _cut(text: str) -> tuple[tuple[str, ...], ...]:
    """Cut at bars, then at commas: one group for each style, or one for all of them."""
    return tuple(tuple(word.strip() for word in group.split(",")) for group in text.split("|"))


SHELVES: tuple[Shelf, ...] = (
    _shelf(
        "tea", "Kitchen > Tea", "teaware", "Loose Leaf Tea, Tea Bags, Tea Tin",
        "Sencha Green, Jasmine Green, Gunpowder Green | Assam Black, Earl Grey Black, Ceylon Black"
        " | Chamomile Herbal, Peppermint Herbal, Rooibos Herbal"
        " | Milk Oolong, High Mountain Oolong, Roasted Oolong",
        "100 g, 250 g, 50 count, Organic", price=(4, 28), use="a quiet cup in the afternoon",
    ),
    _shelf(
        "teaware", "Kitchen > Teapots & Mugs", "tea", "Teapot, Mug Set, Tea Cup, Infuser",
        "Cast Iron, Hammered Iron, Enamelled Iron | Clear Glass, Borosilicate Glass, Glass Bamboo"
        " | Stoneware, Glazed Ceramic, Terracotta | Bone China, Porcelain, Gilded Porcelain",
        "0.6 L, 1.2 L, Set of 4, with Strainer", price=(9, 85), use="brewing and serving",
    ),
    _shelf(
        "coffee", "Kitchen > Coffee Beans", "grinders", "Coffee Beans, Ground Coffee",
        "Dark Espresso, Italian Espresso, Crema Espresso | Light Filter, Pour Over, Nordic Roast"
        " | Swiss Water Decaf, Mild Decaf, Evening Decaf"
        " | Ethiopia Yirgacheffe, Kenya AA, Colombia Huila",
        "250 g, 500 g, 1 kg, Fair Trade", price=(7, 32), use="the first hour of the day",
    ),
    _shelf(
        "grinders", "Kitchen > Coffee Makers", "coffee",
        "Espresso Maker, Machine | Kettle, Coffee Set | Coffee Maker, Carafe"
        " | Coffee Grinder, Mill",
        "Lever Espresso, Stovetop Moka, Portafilter | Ceramic Dripper, Gooseneck, Paper Filter"
        " | French Press, Plunger, Cold Brew | Conical Burr, Hand Crank, Titanium Burr",
        "2 Cups, 6 Cups, Black, Steel", price=(19, 260), use="fresh coffee at home",
    ),
    _shelf(
        "headphones", "Electronics > Headphones", "speakers", "Headphones, Earphones",
        "Noise Cancelling, Travel Quiet, Silent Flight | Wireless Earbuds, True Wireless, In-Ear"
        " | Studio Monitor, Open Back, Audiophile | Sweatproof Sport, Neckband Running, Gym",
        "Black, White, Bluetooth 5.3, with Case", price=(19, 380), use="music anywhere",
    ),
    _shelf(
        "speakers", "Electronics > Speakers", "headphones", "Speaker, Speaker Pair",
        "Portable Bluetooth, Pocket, Waterproof Travel | Bookshelf, Walnut Shelf, Hi-Fi Passive"
        " | Smart Voice, Multiroom, Wi-Fi | Party Boombox, Garden Rock, Beach",
        "20 W, 60 W, Grey, Blue", price=(25, 420), use="filling a room with sound",
    ),
    _shelf(
        "cameras", "Electronics > Cameras", "photo", "Camera, Camera Kit",
        "Mirrorless, Full Frame, Interchangeable Lens | Instant Print, Retro Film, Polaroid Style"
        " | Action, Helmet, Underwater | Compact Zoom, Pocket Vlog, Superzoom",
        "24 MP, 4K, Black, Silver", price=(69, 1900), use="pictures worth keeping",
    ),
    _shelf(
        "photo", "Electronics > Photo Accessories", "cameras",
        "Tripod, Travel Tripod | Camera Strap, Wrist Strap | Mount, Grip | Bag, Tripod",
        "Carbon Fibre, Aluminium Travel, Ball Head | Leather, Vintage Canvas, Braided"
        " | Chest Mount, Floating, Suction Mount | Padded Compact, Flexible Mini, Tabletop",
        "Small, Large, Black, Brown", price=(12, 240), use="steady and safe shooting",
    ),
    _shelf(
        "boots", "Outdoor > Hiking Boots", "trekking", "Hiking Boots, Hiking Shoes",
        "Waterproof Leather, Full Grain, Alpine Leather | Lightweight Trail, Mesh Trail, Fast Hike"
        " | Insulated Winter, Snow, Fleece Lined | Desert, Suede Canyon, Breathable Summer",
        "Men's, Women's, Wide Fit, Vibram Sole", price=(59, 310), use="long days on foot",
    ),
    _shelf(
        "trekking", "Outdoor > Trekking Gear", "boots",
        "Socks, Beanie | Trekking Poles, Walking Stick | Gaiters, Gloves | Shirt, Hat",
        "Merino Wool, Cushioned Wool, Alpaca | Ultralight Carbon, Folding, Cork Grip"
        " | Snowproof, Thermal, Ice Cleat | Quick Dry, Sun Shield, Cooling",
        "Pair, Set of 3, Grey, Red", price=(9, 160), use="the path and the weather",
    ),
    _shelf(
        "tents", "Outdoor > Tents", "sleeping", "Tent, Shelter",
        "Ultralight Solo, Trekking Pole, Bikepacking | Family Tunnel, Six Person, Cabin"
        " | Geodesic, Four Season, Storm | Pop Up, Festival, Beach Shade",
        "1 Person, 2 Person, 4 Person, Green", price=(69, 640), use="nights under the sky",
    ),
    _shelf(
        "sleeping", "Outdoor > Sleeping Bags", "tents",
        "Sleeping Bag, Camp Blanket | Sleeping Bag, Sleeping Mat | Sleeping Bag, Bivy"
        " | Sleeping Bag, Sleeping Pad",
        "Goose Down, Compressible Down, Quilt | Double Wide, Flannel, Self Inflating"
        " | Mummy Arctic, Expedition, Minus 20 | Fleece Liner, Summer Light, Foam Roll",
        "Regular, Long, Left Zip, Blue", price=(29, 420), use="a warm night outdoors",
    ),
    _shelf(
        "lamps", "Home > Desk Lamps", "chairs", "Desk Lamp, Reading Lamp",
        "Architect Swing Arm, Clamp, Balanced Spring | Banker Brass, Art Deco, Emerald Shade"
        " | LED Dimmable, Touch USB, Daylight LED | Wooden Tripod, Linen Shade, Rattan",
        "Black, White, Brass, Oak", price=(18, 240), use="work late without tired eyes",
    ),
    _shelf(
        "chairs", "Home > Desk Chairs", "lamps", "Desk Chair, Stool",
        "Ergonomic Mesh, Lumbar Support, Headrest | Leather Executive, Chesterfield, Padded Club"
        " | Gaming Racer, Reclining, Footrest | Scandinavian Oak, Boucle, Shell",
        "Black, Grey, Adjustable, on Castors", price=(79, 780), use="sitting well all day",
    ),
    _shelf(
        "pots", "Garden > Plant Pots", "seeds", "Plant Pot, Planter",
        "Terracotta Clay, Whitewashed Clay, Rustic Clay | Self Watering, Balcony Box, Railing"
        " | Hanging Macrame, Wall, Woven Basket | Zinc Metal, Galvanised Trough, Corten Steel",
        "15 cm, 30 cm, Set of 3, with Saucer", price=(6, 95), use="green corners",
    ),
    _shelf(
        "seeds", "Garden > Seeds", "pots",
        "Seeds, Seed Kit | Seeds, Seedlings | Seeds, Seed Mix | Bulbs, Bulb Mix",
        "Basil Herb, Coriander Herb, Thyme Herb | Cherry Tomato, Heirloom Tomato, Chilli"
        " | Wildflower Meadow, Cornflower, Poppy | Tulip, Daffodil, Crocus",
        "Organic, Large Pack, Small Pack, for Bees", price=(2, 19), use="sowing in spring",
    ),
    _shelf(
        "games", "Toys > Board Games", "puzzles", "Board Game, Card Game",
        "Cooperative, Mystery Escape, Detective | Strategy, Empire Building, Railway"
        " | Party, Word Guessing, Drawing | Fantasy Quest, Dragon Dungeon, Miniatures",
        "2-4 Players, 3-6 Players, Ages 8+, Deluxe", price=(14, 95), use="an evening at the table",
    ),
    _shelf(
        "puzzles", "Toys > Puzzles", "games", "Jigsaw Puzzle, Puzzle",
        "Landscape, Mountain Lake, Harbour | Wooden 3D, Mechanical, Marble Run"
        " | Fine Art, Impressionist, Vintage Map | Cat, Wildlife, Rainforest",
        "500 Pieces, 1000 Pieces, 2000 Pieces, Panorama", price=(9, 65), use="rainy weekends",
    ),
    _shelf(
        "running", "Sport > Running Shoes", "yoga", "Running Shoes, Trainers",
        "Cushioned Daily, Max Cushion, Recovery | Carbon Racing, Marathon, Tempo"
        " | Stability, Motion Control, Arch Support | Barefoot, Minimalist, Zero Drop",
        "Men's, Women's, Blue, Neon", price=(49, 260), use="kilometre after kilometre",
    ),
    _shelf(
        "yoga", "Sport > Yoga & Fitness", "running",
        "Mat, Block | Band, Band Set | Roller, Ball | Board, Ring",
        "Natural Rubber Yoga, Cork Yoga, Jute Yoga | Resistance, Pull Up, Latex Loop"
        " | Deep Tissue Foam, Massage, Trigger Point | Pilates, Barre, Balance",
        "4 mm, 6 mm, Purple, with Strap", price=(8, 140), use="stretching and strength",
    ),
)  # fmt: skip

BRANDS: tuple[str, ...] = (
    "Alderwood", "Bramley", "Corvid", "Dunmore", "Eastlight", "Fjordal", "Greyfell", "Harrow",
    "Inverlay", "Juniper Co", "Kestrel", "Lumen", "Marlowe", "Northbank",
)  # fmt: skip
"""Five of them sell on each shelf; the first of each five is the dear one."""

PRAISE: dict[int, tuple[str, ...]] = {
    1: (
        "Terrible. It broke after two days and the refund took weeks.",
        "Awful quality, a complete waste of money. I am very disappointed.",
        "Nothing like the picture. Cheap, useless, and it went straight back.",
    ),
    2: (
        "Disappointing for the price; it feels flimsy and poorly made.",
        "Not great. It works sometimes, but I regret buying it.",
        "Worse than I expected. The finish is bad and it arrived scratched.",
    ),
    3: (
        "It is okay. Does the job, nothing special.",
        "Average. Some good points, some bad ones.",
        "Acceptable for the price, though I might look elsewhere next time.",
    ),
    4: (
        "Good quality and quick delivery. I am happy with it.",
        "Very nice, with one small flaw. I would buy it again.",
        "Works well and looks good. Nearly perfect.",
    ),
    5: (
        "Absolutely love it! Excellent quality, worth every penny.",
        "Perfect. The best I have ever owned, highly recommended.",
        "Fantastic, beautiful and well made. It exceeded all my hopes.",
    ),
}
"""What shoppers write, by the stars that they give."""

HEADLINES: dict[int, tuple[str, ...]] = {
    1: ("Avoid", "Broken", "Never again"),
    2: ("Disappointed", "Not for me", "Poor"),
    3: ("Okay", "Average", "Fine"),
    4: ("Good", "Happy with it", "Nice"),
    5: ("Excellent", "Love it", "Perfect"),
}

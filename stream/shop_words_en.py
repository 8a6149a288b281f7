"""The words of the simulated shop in English."""

from __future__ import annotations

from collections.abc import Sequence

from stream.shop_words import Made, ShopWords, in_order, shelf

_SHELVES = in_order(
    shelf(
        "tea", "Kitchen > Tea", "Loose Leaf Tea, Tea Bags, Tea Tin",
        "Sencha Green, Jasmine Green, Gunpowder Green | Assam Black, Earl Grey Black, Ceylon Black"
        " | Chamomile Herbal, Peppermint Herbal, Rooibos Herbal"
        " | Milk Oolong, High Mountain Oolong, Roasted Oolong",
        "100 g, 250 g, 50 count, Organic", use="a quiet cup in the afternoon",
    ),
    shelf(
        "teaware", "Kitchen > Teapots & Mugs", "Teapot, Mug Set, Tea Cup, Infuser",
        "Cast Iron, Hammered Iron, Enamelled Iron | Clear Glass, Borosilicate Glass, Glass Bamboo"
        " | Stoneware, Glazed Ceramic, Terracotta | Bone China, Porcelain, Gilded Porcelain",
        "0.6 L, 1.2 L, Set of 4, with Strainer", use="brewing and serving",
    ),
    shelf(
        "coffee", "Kitchen > Coffee Beans", "Coffee Beans, Ground Coffee",
        "Dark Espresso, Italian Espresso, Crema Espresso | Light Filter, Pour Over, Nordic Roast"
        " | Swiss Water Decaf, Mild Decaf, Evening Decaf"
        " | Ethiopia Yirgacheffe, Kenya AA, Colombia Huila",
        "250 g, 500 g, 1 kg, Fair Trade", use="the first hour of the day",
    ),
    shelf(
        "grinders", "Kitchen > Coffee Makers",
        "Espresso Maker, Machine | Kettle, Coffee Set | Coffee Maker, Carafe"
        " | Coffee Grinder, Mill",
        "Lever Espresso, Stovetop Moka, Portafilter | Ceramic Dripper, Gooseneck, Paper Filter"
        " | French Press, Plunger, Cold Brew | Conical Burr, Hand Crank, Titanium Burr",
        "2 Cups, 6 Cups, Black, Steel", use="fresh coffee at home",
    ),
    shelf(
        "headphones", "Electronics > Headphones", "Headphones, Earphones",
        "Noise Cancelling, Travel Quiet, Silent Flight | Wireless Earbuds, True Wireless, In-Ear"
        " | Studio Monitor, Open Back, Audiophile | Sweatproof Sport, Neckband Running, Gym",
        "Black, White, Bluetooth 5.3, with Case", use="music anywhere",
    ),
    shelf(
        "speakers", "Electronics > Speakers", "Speaker, Speaker Pair",
        "Portable Bluetooth, Pocket, Waterproof Travel | Bookshelf, Walnut Shelf, Hi-Fi Passive"
        " | Smart Voice, Multiroom, Wi-Fi | Party Boombox, Garden Rock, Beach",
        "20 W, 60 W, Grey, Blue", use="filling a room with sound",
    ),
    shelf(
        "cameras", "Electronics > Cameras", "Camera, Camera Kit",
        "Mirrorless, Full Frame, Interchangeable Lens | Instant Print, Retro Film, Polaroid Style"
        " | Action, Helmet, Underwater | Compact Zoom, Pocket Vlog, Superzoom",
        "24 MP, 4K, Black, Silver", use="pictures worth keeping",
    ),
    shelf(
        "photo", "Electronics > Photo Accessories",
        "Tripod, Travel Tripod | Camera Strap, Wrist Strap | Mount, Grip | Bag, Tripod",
        "Carbon Fibre, Aluminium Travel, Ball Head | Leather, Vintage Canvas, Braided"
        " | Chest Mount, Floating, Suction Mount | Padded Compact, Flexible Mini, Tabletop",
        "Small, Large, Black, Brown", use="steady and safe shooting",
    ),
    shelf(
        "boots", "Outdoor > Hiking Boots", "Hiking Boots, Hiking Shoes",
        "Waterproof Leather, Full Grain, Alpine Leather | Lightweight Trail, Mesh Trail, Fast Hike"
        " | Insulated Winter, Snow, Fleece Lined | Desert, Suede Canyon, Breathable Summer",
        "Men's, Women's, Wide Fit, Vibram Sole", use="long days on foot",
    ),
    shelf(
        "trekking", "Outdoor > Trekking Gear",
        "Socks, Beanie | Trekking Poles, Walking Stick | Gaiters, Gloves | Shirt, Hat",
        "Merino Wool, Cushioned Wool, Alpaca | Ultralight Carbon, Folding, Cork Grip"
        " | Snowproof, Thermal, Ice Cleat | Quick Dry, Sun Shield, Cooling",
        "Pair, Set of 3, Grey, Red", use="the path and the weather",
    ),
    shelf(
        "tents", "Outdoor > Tents", "Tent, Shelter",
        "Ultralight Solo, Trekking Pole, Bikepacking | Family Tunnel, Six Person, Cabin"
        " | Geodesic, Four Season, Storm | Pop Up, Festival, Beach Shade",
        "1 Person, 2 Person, 4 Person, Green", use="nights under the sky",
    ),
    shelf(
        "sleeping", "Outdoor > Sleeping Bags",
        "Sleeping Bag, Camp Blanket | Sleeping Bag, Sleeping Mat | Sleeping Bag, Bivy"
        " | Sleeping Bag, Sleeping Pad",
        "Goose Down, Compressible Down, Quilt | Double Wide, Flannel, Self Inflating"
        " | Mummy Arctic, Expedition, Minus 20 | Fleece Liner, Summer Light, Foam Roll",
        "Regular, Long, Left Zip, Blue", use="a warm night outdoors",
    ),
    shelf(
        "lamps", "Home > Desk Lamps", "Desk Lamp, Reading Lamp",
        "Architect Swing Arm, Clamp, Balanced Spring | Banker Brass, Art Deco, Emerald Shade"
        " | LED Dimmable, Touch USB, Daylight LED | Wooden Tripod, Linen Shade, Rattan",
        "Black, White, Brass, Oak", use="work late without tired eyes",
    ),
    shelf(
        "chairs", "Home > Desk Chairs", "Desk Chair, Stool",
        "Ergonomic Mesh, Lumbar Support, Headrest | Leather Executive, Chesterfield, Padded Club"
        " | Gaming Racer, Reclining, Footrest | Scandinavian Oak, Boucle, Shell",
        "Black, Grey, Adjustable, on Castors", use="sitting well all day",
    ),
    shelf(
        "pots", "Garden > Plant Pots", "Plant Pot, Planter",
        "Terracotta Clay, Whitewashed Clay, Rustic Clay | Self Watering, Balcony Box, Railing"
        " | Hanging Macrame, Wall, Woven Basket | Zinc Metal, Galvanised Trough, Corten Steel",
        "15 cm, 30 cm, Set of 3, with Saucer", use="green corners",
    ),
    shelf(
        "seeds", "Garden > Seeds",
        "Seeds, Seed Kit | Seeds, Seedlings | Seeds, Seed Mix | Bulbs, Bulb Mix",
        "Basil Herb, Coriander Herb, Thyme Herb | Cherry Tomato, Heirloom Tomato, Chilli"
        " | Wildflower Meadow, Cornflower, Poppy | Tulip, Daffodil, Crocus",
        "Organic, Large Pack, Small Pack, for Bees", use="sowing in spring",
    ),
    shelf(
        "games", "Toys > Board Games", "Board Game, Card Game",
        "Cooperative, Mystery Escape, Detective | Strategy, Empire Building, Railway"
        " | Party, Word Guessing, Drawing | Fantasy Quest, Dragon Dungeon, Miniatures",
        "2-4 Players, 3-6 Players, Ages 8+, Deluxe", use="an evening at the table",
    ),
    shelf(
        "puzzles", "Toys > Puzzles", "Jigsaw Puzzle, Puzzle",
        "Landscape, Mountain Lake, Harbour | Wooden 3D, Mechanical, Marble Run"
        " | Fine Art, Impressionist, Vintage Map | Cat, Wildlife, Rainforest",
        "500 Pieces, 1000 Pieces, 2000 Pieces, Panorama", use="rainy weekends",
    ),
    shelf(
        "running", "Sport > Running Shoes", "Running Shoes, Trainers",
        "Cushioned Daily, Max Cushion, Recovery | Carbon Racing, Marathon, Tempo"
        " | Stability, Motion Control, Arch Support | Barefoot, Minimalist, Zero Drop",
        "Men's, Women's, Blue, Neon", use="kilometre after kilometre",
    ),
    shelf(
        "yoga", "Sport > Yoga & Fitness",
        "Mat, Block | Band, Band Set | Roller, Ball | Board, Ring",
        "Natural Rubber Yoga, Cork Yoga, Jute Yoga | Resistance, Pull Up, Latex Loop"
        " | Deep Tissue Foam, Massage, Trigger Point | Pilates, Barre, Balance",
        "4 mm, 6 mm, Purple, with Strap", use="stretching and strength",
    ),
)  # fmt: skip

_BRANDS: tuple[str, ...] = (
    "Alderwood", "Bramley", "Corvid", "Dunmore", "Eastlight", "Fjordal", "Greyfell", "Harrow",
    "Inverlay", "Juniper Co", "Kestrel", "Lumen", "Marlowe", "Northbank",
)  # fmt: skip

_PRAISE: dict[int, tuple[str, ...]] = {
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

_HEADLINES: dict[int, tuple[str, ...]] = {
    1: ("Avoid", "Broken", "Never again"),
    2: ("Disappointed", "Not for me", "Poor"),
    3: ("Okay", "Average", "Fine"),
    4: ("Good", "Happy with it", "Nice"),
    5: ("Excellent", "Love it", "Perfect"),
}


def _title(made: Made) -> str:
    return " ".join(made)


def _another(title: str, mark: int) -> str:
    return f"{title} No. {mark}"


def _describe(made: Made, use: str, others: Sequence[str]) -> str:
    alike = ", ".join(word.lower() for word in (made.words, *others))
    return (
        f"{made.words} {made.noun.lower()} by {made.brand}, made for {use}. "
        f"For those who like {alike}."
    )


ENGLISH = ShopWords(
    shelves=_SHELVES,
    brands=_BRANDS,
    praise=_PRAISE,
    headlines=_HEADLINES,
    title=_title,
    another=_another,
    describe=_describe,
)

"""The annex to a data-protection impact assessment, in Chinese: the same facts, line by line, as the English one."""

from __future__ import annotations

from researcher.papers import rests_on
from researcher.papers.lines import HOSPITALS, Line, Section

TITLE = "研究“{}”的个人信息保护影响评估附件"
RESTS_ON = "以上各句的依据"
SECTIONS = (
    Section(
        "本附件是什么",
        (
            Line(
                "本附件陈述已签名的凭据和测试对研究“{study}”所表明的内容。它不是评估：处理是否合法，须由个人信息处理者说明。"
            ),
            Line(
                "本附件供《通用数据保护条例》第35条第7款和《中华人民共和国个人信息保护法》第五十六条之用。"
                "计划的 SHA-256 为 {plan_digest}，模型的为 {model_sha256}。"
            ),
        ),
    ),
    Section(
        "处理活动及其目的",
        (
            Line("目的（医院所批准的原文）：{purpose}"),
            Line("目的：计划中未说明。", unless="purpose", rests_on=(rests_on.NOT_SAID,)),
            Line("研究方案或伦理批件：{protocol}"),
            Line("研究方案或伦理批件：未说明。", unless="protocol", rests_on=(rests_on.NOT_SAID,)),
            Line("模型的预期用途（研究者原话）：{intended_use}"),
            Line("模型的预期用途：未说明。", unless="intended_use", rests_on=(rests_on.NOT_SAID,)),
            Line(
                "{hospital_count} 家医院用各自的图像（{picture_shape} 个数值）训练了 {model_name}，"
                "共 {class_count} 个类别：{class_names}。"
            ),
            Line("{hospital}：于 {approved_on} 批准；已运行并记账 {rounds_charged} 轮。", HOSPITALS),
        ),
    ),
    Section(
        "必要性与相称性",
        (
            Line(
                "图像留在医院内。每轮离开医院的只有与模型形状相同的数组，离开前经过检查。", rests_on=(rests_on.OUTPUT,)
            ),
            Line("研究者使用仅凭公开数据模式绘制的示例数据。", rests_on=(rests_on.MOCK,)),
            Line("批准最多涵盖 {rounds} 轮，每轮 {steps_per_round} 步。"),
        ),
    ),
    Section(
        "对患者的风险",
        (
            Line(
                "{hospital}：每位患者的 epsilon 为 {epsilon}，delta 为 {delta}。"
                "它限制了这些轮次发布的全部内容对其中一位患者所能透露的程度。",
                HOSPITALS,
                given="unit_patient",
            ),
            Line(
                "{hospital}：每张图像的 epsilon 为 {epsilon}，delta 为 {delta}。"
                "它限制了这些轮次发布的全部内容对其中一张图像所能透露的程度。",
                HOSPITALS,
                given="unit_picture",
            ),
            Line(
                "{hospital}：其中包括其特征的加噪 Gram 矩阵，只发布一次，各轮的步骤以它为依据；"
                "单独计算，它的 epsilon 为 {gram_epsilon}，delta 为 {gram_delta}。",
                HOSPITALS,
            ),
            Line("{hospital}：模型文件写明的正是这个矩阵，SHA-256 为 {gram_digest}。", HOSPITALS),
            Line(
                "{hospital}：模型文件没有写明任何 Gram 矩阵，因此无法表明各轮的步骤依据的就是这一个。",
                HOSPITALS,
                given="gram_epsilon",
                unless="gram_digest",
            ),
            Line(
                "另有 {alone_count} 家医院发布了这样的矩阵，但未参加任何一轮训练，epsilon 至多为 {alone_epsilon}，"
                "delta 为 {alone_delta}。"
            ),
            Line(
                "{hospital}：看到这些轮次发布的全部内容、知道其他所有患者数据、并把未参与者中每100人误认1人的人，"
                "在100名参与的患者中至多认出 {found_patient} 名。猜测能认出1名。",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line(
                "{hospital}：看到这些轮次发布的全部内容、知道其他所有图像、并把未使用的图像中每100张误认1张的人，"
                "在100张用过的图像中至多认出 {found_picture} 张。猜测能认出1张。有多张图像的患者受到的保护较少。",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line("{hospital}：噪声几乎没有限制作用；每位患者都可能被认出。", HOSPITALS, given="no_bound_patient"),
            Line("{hospital}：噪声几乎没有限制作用；每张图像都可能被认出。", HOSPITALS, given="no_bound_picture"),
            Line("{hospital} 的训练未采用差分隐私（{without_privacy}）：对患者的透露没有任何限制。", HOSPITALS),
            Line(
                "{hospital}：该数据集的所有研究合计占用 epsilon {epsilon_held}，上限为 {epsilon_limit}，"
                "delta 为 {delta_of_dataset}。",
                HOSPITALS,
            ),
            Line(
                "{hospital}：该数据集上还运行过未采用差分隐私的轮次（{held_open}），任何 epsilon 都不能限制它们。",
                HOSPITALS,
            ),
            Line(
                "{hospital}：该数据集的其他研究另外花费多少，此处不知。",
                HOSPITALS,
                unless="epsilon_held",
                rests_on=(rests_on.NO_EXTRACT,),
            ),
            Line(
                "同时是其中几家医院患者的人承担其总和；单家医院最大的 epsilon 为 {epsilon_most}。",
                given="unit_patient",
            ),
            Line(
                "其中几家医院都有的图像承担其总和；单家医院最大的 epsilon 为 {epsilon_most}。",
                given="unit_picture",
            ),
        ),
    ),
    Section(
        "保护措施",
        (
            Line(
                "每一步都在医院内加入噪声，为裁剪界限 {max_grad_norm} 的 {noise_multiplier} 倍；"
                "隐私单位以概率 {sample_rate} 抽取。",
                unless="allocated_over",
                rests_on=(rests_on.SHAPE, rests_on.SAMPLING),
            ),
            Line(
                "每一步都在医院内加入噪声，为裁剪界限 {max_grad_norm} 的 {noise_multiplier} 倍；"
                "每个隐私单位恰好参加每个训练周期 {allocated_over} 步中的一步，该步随机抽取。",
                rests_on=(rests_on.SHAPE, rests_on.ALLOCATION),
            ),
            Line(
                "医院的账本在每轮读取图像之前记账，且轮数从不超过批准的数目。",
                rests_on=(rests_on.CHARGED, rests_on.ENVELOPE),
            ),
            Line("运行是封闭的：其中打印、报错或告知的内容不会到达任何人。", rests_on=(rests_on.CLOSED,)),
            Line("每份凭据由其医院签名；{hospital} 的密钥为 {key}。", HOSPITALS),
        ),
    ),
    Section(
        "须由个人信息处理者补充的内容",
        (
            Line(
                "法律依据、对患者的告知、医院内的保存期限、向其他国家的提供以及患者的意见，此处不知。",
                rests_on=(rests_on.NOT_SAID,),
            ),
        ),
    ),
)
